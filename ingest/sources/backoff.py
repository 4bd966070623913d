"""How long to wait before the next try to connect."""

from __future__ import annotations

import random

SHORTEST_S, LONGEST_S = 0.5, 10.0
_STEADY_S = 10.0


class Backoff:
    """Pauses that double from 0.5 to 10 s, each cut by up to a half at random.

    They begin anew only after a connection that lasted: one that breaks at once, again and again
    (two clients that throw each other out, a message that the broker itself chokes on), is taken
    up ever more slowly.
    """

    def __init__(self) -> None:
        self._pause_s = SHORTEST_S

    def next_s(self, *, lasted_s: float = 0.0, patient: bool = False) -> float:
        """Seconds to wait now, after a connection that lasted so long; ``patient``: the longest."""
        if lasted_s >= _STEADY_S:
            self._pause_s = SHORTEST_S
        if patient:
            self._pause_s = LONGEST_S
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_S)
        return pause_s * random.uniform(0.5, 1)
