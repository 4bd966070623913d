"""What is published: numbered samples alone and in bulk, poison among them, out of order, some
twice. Endless, and the same for the same seed."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import count

from tests.faults.envelope import Envelope, bulk, single
from tests.faults.numbered import Sample, sample
from tests.faults.poison import COMMON, LARGE, bad_object, poison

WINDOW = 200
BULK_SHARE, POISON_SHARE, LARGE_SHARE, AGAIN_SHARE = 0.03, 0.03, 0.0003, 0.05


class Traffic:
    """Windows of envelopes; within a window the order is random."""

    def __init__(self, rng: random.Random, base_ms: int) -> None:
        self._rng = rng
        self._base_ms = base_ms
        self._numbers = count()
        self._poisons = count()
        self._again: list[Envelope] = []

    def window(self) -> list[Envelope]:
        """Some 200 envelopes, with copies of earlier ones among them."""
        fresh: list[Envelope] = []
        while len(fresh) < WINDOW:
            fresh += self._next()
        window = fresh + self._again
        self._again = [e for e in fresh if self._rng.random() < AGAIN_SHARE]
        twice = [e for e in fresh if self._rng.random() < AGAIN_SHARE]
        window += twice
        self._rng.shuffle(window)
        return window

    def each_poison(self) -> list[Envelope]:
        """One poison of every class."""
        makers = [*COMMON.values(), *LARGE.values()]
        return [poison(make, next(self._poisons), self._base_ms) for make in makers]

    def _next(self) -> list[Envelope]:
        dice = self._rng.random()
        if dice < LARGE_SHARE:
            make = self._rng.choice(list(LARGE.values()))
        elif dice < POISON_SHARE:
            make = self._rng.choice(list(COMMON.values()))
        elif dice < POISON_SHARE + BULK_SHARE:
            return self._bulk()
        else:
            number = next(self._numbers)
            return [single(number, sample(number, self._base_ms))]
        return [poison(make, next(self._poisons), self._base_ms)]

    def _bulk(self) -> list[Envelope]:
        by_carrier: dict[str, dict[int, Sample]] = defaultdict(dict)
        for _ in range(self._rng.randint(1, 40)):
            number = next(self._numbers)
            made = sample(number, self._base_ms)
            by_carrier[made.carrier][number] = made
        return [bulk("chaos", s, self._maybe_bad(carrier)) for carrier, s in by_carrier.items()]

    def _maybe_bad(self, carrier: str) -> tuple[bytes, str] | None:
        if self._rng.random() < 0.5:
            return None
        return bad_object(next(self._poisons), self._base_ms, carrier)
