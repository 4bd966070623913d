"""Stop cleanly on Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_stop_signal(
    stop: Callable[[], object], give_up: Callable[[], object], *, after_s: float
) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM, and ``give_up`` if that takes too long.

    A second signal gives up at once. Needs a running event loop.
    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def handle() -> None:
        if timers:
            give_up()
            return
        stop()
        timers.append(loop.call_later(after_s, give_up))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        for timer in timers:
            timer.cancel()
