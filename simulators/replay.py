"""Recorded messages, published when their turn comes: a source for `simulators.fleet.Fleet`.

The gaps between messages are kept, divided by the speed. When the broker cannot keep up, messages
come later, none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from shudao.vocabulary import Carrier
from simulators.messages import Message
from simulators.places import Ints

Timed = tuple[int, str, bytes]
"""When a message is due (ms, of any clock), its topic and its payload."""

FASTEST = 1e9
"""Ten years in a third of a second: as fast as the broker takes them."""


class Replay:
    """Recorded messages as they become due.

    Args:
        recorded: messages of one sample each, ordered by time.
        speed: 1 is the original speed, 60 plays an hour in a minute.
        carrier: whose devices send them.
    """

    def __init__(self, recorded: Iterable[Timed], speed: float, carrier: Carrier) -> None:
        self._rest = iter(recorded)
        self._next = next(self._rest, None)
        self._first_ms = self._next[0] if self._next else 0
        self._speed, self._carrier = speed, carrier
        self._begun_ms: int | None = None

    def take(self, count: int, now_ms: int) -> list[Message] | None:
        """At most so many of the messages that are due; None when all were taken."""
        if self._next is None:
            return None
        if self._begun_ms is None:
            self._begun_ms = now_ms
        due_ms = self._first_ms + (now_ms - self._begun_ms) * self._speed
        taken: list[Message] = []
        while self._next and self._next[0] <= due_ms and len(taken) < count:
            _, topic, payload = self._next
            taken.append(Message(topic, payload, 1, "valid", 0, self._carrier - 1))
            self._next = next(self._rest, None)
        return taken


def due_ms(time_ms: Ints, speed: float, now_ms: int) -> Ints:
    """When messages of these times, in order, are published by a replay that begins now."""
    return np.asarray(now_ms + (time_ms - time_ms[0]) / speed, np.int64)


def shift_to_now(time_ms: Ints, speed: float, now_ms: int) -> int:
    """What to add to the times of a replay that begins now: its last sample is then of the moment
    in which it is published, the gaps are as recorded, and no sample is ahead of its time.
    """
    return int((due_ms(time_ms, speed, now_ms) - time_ms).min())
