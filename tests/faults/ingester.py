"""The ingester under test: a process of `shudao ingest`, started again whenever it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from tests.faults.processes import children, send

ROOT = Path(__file__).parents[2]


class SupervisedIngester:
    """Starts it, notes how it ends, and starts it again at once.

    Args:
        environment: its SHUDAO_… settings.
        log: what it says, all runs one after the other.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.ends: Counter[int] = Counter()
        """Exit codes; minus the signal's number where one ended it."""
        self.log = log
        log.touch()
        self._environment = environment
        self._options: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self, *options: str) -> None:
        """Run it with these options until `stop`."""
        self._options = list(options)
        self._keeper = asyncio.create_task(self._keep(), name="ingester")

    @property
    def is_kept(self) -> bool:
        """Whether it runs, or is started again."""
        return self._keeper is not None

    @property
    def processes(self) -> list[int]:
        """The process and its workers, if it has some."""
        return [self.pid, *children(self.pid)] if self.pid else []

    async def kill(self, processes: list[int]) -> None:
        """kill -9 of these `processes`, all of them; the first must have been alive."""
        process = self._running()
        assert processes[0] == process.pid, "it ended by itself, and was started again"
        for pid in processes:
            send(pid, signal.SIGKILL)
        code = await asyncio.wait_for(process.wait(), 10)
        assert code == -signal.SIGKILL, f"it had ended by itself, with {code}"

    async def terminate(self) -> int:
        """SIGTERM; its exit code."""
        process = self._running()
        process.terminate()
        return await asyncio.wait_for(process.wait(), 30)

    async def stop(self) -> int | None:
        """End it for good, cleanly; returns its exit code."""
        if self._keeper is None:
            return None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._keeper = None
        return await self.terminate() if self.pid else None

    async def change(self, *options: str) -> None:
        """Stop it cleanly, and run it with other options."""
        code = await self.stop()
        assert code in (0, None), f"SIGTERM ended it with {code}"
        self.start(*options)

    def destroy(self) -> None:
        """End whatever is left of it, at once."""
        if self._keeper is not None:
            self._keeper.cancel()
        for pid in self.processes:
            send(pid, signal.SIGKILL)

    def tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the ingester was never started"
        assert self._process.returncode is None, "the ingester does not run"
        return self._process

    async def _keep(self) -> None:
        while True:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "shudao", "ingest", *self._options,
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                    env={**os.environ, **self._environment}, start_new_session=True,
                )  # fmt: skip
            code = await self._process.wait()
            self.ends[code] += 1
            if code != -signal.SIGKILL:  # it gave up, say because the database is away
                await asyncio.sleep(0.3)
