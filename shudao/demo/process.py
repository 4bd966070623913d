"""One part of Shudao as a child process: started, watched, started again, stopped.

A child runs in a session of its own, so that Ctrl-C reaches only the demo, which then stops the
parts in their order; and the kernel ends it should the demo be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_MAX_RESTARTS = 5
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Part:
    """A ``shudao`` subcommand in the background.

    Args:
        name: what the view calls it.
        arguments: of the ``shudao`` command.
        log: file that its messages go to.
        on_report: called with each JSON object that it prints on standard output.
        restart: whether to start it again when it ends by itself.
        environment: variables beside our own.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        *,
        on_report: Callable[[dict[str, Any]], None] | None = None,
        restart: bool = True,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        self._arguments = arguments
        self._on_report = on_report
        self._restart = restart
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """A word for the view."""
        if self._process is None:
            return "starting"
        if self._process.returncode is None:
            return "running" if not self.restarts else f"running, restarted {self.restarts}×"
        return "stopped" if self._stopping or self._process.returncode == 0 else "failed"

    @property
    def failed(self) -> bool:
        """Whether it ended and will not be started again."""
        return self._watcher is not None and self._watcher.done() and self.state == "failed"

    def start(self) -> None:
        """Start it, and watch it."""
        self._watcher = asyncio.create_task(self._watch(), name=self.name)

    async def _watch(self) -> None:
        while not self._stopping:
            began = time.monotonic()
            code = await self._run()
            if self._stopping or code == 0 or not self._restart:
                return
            if time.monotonic() - began > 60:
                self.restarts = 0
            if self.restarts >= _MAX_RESTARTS:
                return
            self.restarts += 1
            await asyncio.sleep(min(0.5 * 2**self.restarts, 10))

    async def _run(self) -> int:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shudao", *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._on_report else log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        if self._on_report and self._process.stdout:
            async for line in self._process.stdout:
                with contextlib.suppress(json.JSONDecodeError):
                    self._on_report(json.loads(line))
        return await self._process.wait()

    async def finished(self, *, within_s: float) -> None:
        """Wait until it ends by itself, or end it when the time is over."""
        if self._watcher is not None:
            await asyncio.wait([self._watcher], timeout=within_s)
        await self.stop()

    def has_said(self, word: str) -> bool:
        """Whether its log holds a word."""
        return self.log.exists() and word in self.log.read_text(errors="replace")

    def last_words(self) -> str:
        """The last line of its log that says something, without the frame around it."""
        lines = self.log.read_text(errors="replace").splitlines()
        bare = [line.strip(" │╭╮╰╯─").removeprefix("shudao: ") for line in lines]
        return next((line for line in reversed(bare) if line), "")

    async def stop(self, *, within_s: float = 15) -> None:
        """Ask it to end, and end it if it does not within the time."""
        process = self._process
        if process is None or process.returncode is None:
            self._stopping = True
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), within_s)
            except TimeoutError:
                process.kill()
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
