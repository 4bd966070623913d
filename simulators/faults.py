"""What goes wrong on purpose, in shares of the messages, decided by the seed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulators.draws import Draws
from simulators.messages import Message, malformed
from simulators.places import Ints

LATE_BY = 500
"""A late message comes after at most so many newer ones."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of messages: ``malformed`` ones are sent besides, ``duplicates`` are sent twice,
    ``late`` fresh ones come after newer ones, ``shuffled`` histories are out of order."""

    malformed: float = 0.001
    duplicates: float = 0.002
    late: float = 0.002
    shuffled: float = 0.01


class FaultInjector:
    """Adds faults to a sequence of messages. A late message that is still held back when the
    sequence ends was never sent."""

    def __init__(self, draws: Draws, faults: Faults) -> None:
        self._draws, self._faults = draws, faults
        self._serial = 0
        self._held: list[tuple[int, int, Message]] = []

    def is_shuffled(self, reporters: Ints) -> list[bool]:
        """Whether the history of each reporter is out of order."""
        return self._happens("shuffled", reporters, self._faults.shuffled)

    def inject(
        self, messages: list[Message], now_ms: int, *, may_be_late: bool
    ) -> Iterator[Message]:
        """The messages: some held back, some twice, malformed ones beside them."""
        serials = self._serial + 1 + np.arange(len(messages))
        self._serial += len(messages)
        late = self._happens("late", serials, self._faults.late if may_be_late else 0.0)
        twice = self._happens("duplicate", serials, self._faults.duplicates)
        broken = self._happens("malformed", serials, self._faults.malformed)
        delay = (self._draws.uniform("fault/delay", serials) * LATE_BY).astype(np.int64).tolist()
        for i, (serial, message) in enumerate(zip(serials.tolist(), messages, strict=True)):
            if late[i]:
                heapq.heappush(self._held, (serial + 1 + delay[i], serial, message))
            else:
                yield message
                if twice[i]:
                    yield replace(message, kind="duplicate")
            if broken[i]:
                yield malformed(serial, message, now_ms)
            while self._held and self._held[0][0] <= serial:
                yield heapq.heappop(self._held)[2]

    def _happens(self, fault: str, numbers: Ints, share: float) -> list[bool]:
        happens: list[bool] = (self._draws.uniform(f"fault/{fault}", numbers) < share).tolist()
        return happens
