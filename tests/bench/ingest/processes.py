"""Child processes of a benchmark: started in the checkout, ended with it whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from shudao.errors import ShudaoError

CHECKOUT = Path(__file__).parents[3]
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_STOP_PATIENCE_S = 30.0


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A Python module as a process of its own session, so that Ctrl-C reaches only us.

    Args:
        name: what messages call it.
        arguments: of the interpreter: ``-m module …``.
        folder: where its log is kept.
        environment: on top of ours.
    """

    def __init__(
        self, name: str, arguments: list[str], folder: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                start_new_session=True,
                preexec_fn=_die_with_parent,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def must_run(self) -> None:
        """Raises `ShudaoError` with its last words when it has ended."""
        if self.ended:
            raise ShudaoError(
                f"the {self.name} ended with code {self._process.returncode}: {self._last_words()}",
                f"its log is {self.log}",
            )

    def result(self) -> str:
        """What it printed, once it has ended. Raises `ShudaoError` when it failed."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise ShudaoError(f"the {self.name} failed: {self._last_words()}", f"see {self.log}")
        return out

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and end it with all its children if it does not."""
        if not self.ended:
            self._process.send_signal(by)
            try:
                self._process.wait(_STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _last_words(self) -> str:
        time.sleep(0.1)
        lines = self.log.read_text(errors="replace").splitlines()
        bare = [line.strip(" │╭╮╰╯─").removeprefix("shudao: ") for line in lines]
        return next((line for line in reversed(bare) if line), "it said nothing")
