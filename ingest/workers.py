"""Several ingester processes that share one subscription, supervised.

- A worker that dies is started again after a growing pause; its session keeps what it has not
  acknowledged. One that cannot even start, three times in a row, ends them all.
- SIGTERM or Ctrl-C is passed on; each worker finishes and acknowledges what it has in hand.
- A worker whose supervisor was killed notices (its standard input ends) and stops by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import structlog

from shudao.errors import ShudaoError

log = structlog.get_logger(__name__)

STOP_PATIENCE_S = 15.0
_LIVES_S = 10.0
"""A worker that ran for so long had started."""
_TRIES = 3


class Supervisor:
    """Runs ``count`` processes of ``command``; ``{worker}`` in it is the worker's number."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = command
        self._count = count
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Pass the stop on."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises `ShudaoError` when a worker cannot start."""
        try:
            async with asyncio.TaskGroup() as group:
                for worker in range(1, self._count + 1):
                    group.create_task(self._keep(worker), name=f"worker {worker}")
        except* ShudaoError as failures:
            raise failures.exceptions[0] from None

    async def _keep(self, worker: int) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_one(worker)
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - began > _LIVES_S else failures + 1
            if failures >= _TRIES:
                raise ShudaoError(
                    f"worker {worker} ended {failures} times in a row, the last time with {code}",
                    "its last lines above say why",
                )
            log.warning("a worker ended, starting it again", worker=worker, code=code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.5 * 2**failures)

    async def _run_one(self, worker: int) -> int:
        """Run a worker to its end, or until `stop`; its exit code."""
        command = [part.format(worker=worker) for part in self._command]
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await _end(process, worker)
        return await ended


async def _end(process: asyncio.subprocess.Process, worker: int) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
    except TimeoutError:
        log.warning("a worker does not stop, killing it; nothing is lost", worker=worker)
        process.kill()
        await process.wait()


def stop_with_supervisor(stop: Callable[[], object]) -> None:
    """Call ``stop`` when the supervisor is gone: in a worker, on its event loop."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin)
            stop()

    loop.add_reader(sys.stdin, read)
