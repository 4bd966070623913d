"""When messages are due: a rate over time, and how many messages that is.

The load is open-loop: what is due does not wait for what was sent before. So a slow platform is
not spared while it is slow, and each message's latency counts from when it was due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_STEPS = 20_000

_HOURS = (
    0.45, 0.32, 0.25, 0.21, 0.20, 0.24, 0.36, 0.55, 0.72, 0.80, 0.84, 0.88,
    0.90, 0.85, 0.82, 0.83, 0.85, 0.90, 0.95, 0.98, 1.00, 0.97, 0.86, 0.66,
)  # fmt: skip
"""The rate at each full hour, relative to the busiest: ours, after the usual curve of mobile
networks (least at four in the morning, most at eight in the evening)."""


class Shape(StrEnum):
    """How the rate goes over time; `Curve` says what each means."""

    STEADY = "steady"
    RAMP = "ramp"
    BURST = "burst"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class Curve:
    """A rate over time.

    Args:
        shape: steady: ``rate`` all the time; ramp: from 0 to ``rate``; burst: ``rate``, and
            ``burst_factor`` times as much in the last ``burst_s`` of every ``burst_every_s``;
            daily: a day within the duration, ``rate`` in its busiest hour.
        rate: messages a second.
        duration_s: how long.
    """

    shape: Shape
    rate: float
    duration_s: float
    burst_factor: float = 5.0
    burst_s: float = 2.0
    burst_every_s: float = 10.0

    def at(self, seconds: Floats) -> Floats:
        """Messages a second at these times."""
        shares: dict[Shape, Callable[[], ArrayLike]] = {
            Shape.STEADY: lambda: np.ones_like(seconds),
            Shape.RAMP: lambda: seconds / self.duration_s,
            Shape.BURST: lambda: np.where(self._is_burst(seconds), self.burst_factor, 1.0),
            Shape.DAILY: lambda: np.interp(
                seconds / self.duration_s * 24, np.arange(25), [*_HOURS, _HOURS[0]]
            ),
        }
        return np.asarray(shares[self.shape](), np.float64) * self.rate

    @property
    def peak(self) -> float:
        """The highest rate."""
        return self.rate * (self.burst_factor if self.shape is Shape.BURST else 1.0)

    def _is_burst(self, seconds: Floats) -> NDArray[np.bool_]:
        return np.asarray(seconds % self.burst_every_s >= self.burst_every_s - self.burst_s)


class Schedule:
    """Which messages are due by when; times are in seconds since the beginning."""

    def __init__(self, curve: Curve) -> None:
        self._at, step = np.linspace(0, curve.duration_s, _STEPS + 1, retstep=True)
        rates = curve.at((self._at[:-1] + self._at[1:]) / 2)
        self._due = np.concatenate([[0.0], np.cumsum(rates * step)])
        self.total = self.due(curve.duration_s)

    def due(self, seconds: float) -> int:
        """How many are due by then."""
        return int(np.interp(seconds, self._at, self._due) + 1e-6)  # 999.9999999 are 1,000

    def due_at(self, first: int, count: int) -> Floats:
        """When each of these is due: the first message is number 0, due a moment after 0 s."""
        return np.interp(first + 1 + np.arange(count), self._due, self._at)
