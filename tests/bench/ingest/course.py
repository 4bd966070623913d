"""How far a phase was, over time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

_TYPICAL = 0.5
_EDGE = 0.1
"""Of a run, at its beginning and at its end, that does not count as steady."""


@dataclass(slots=True)
class Course:
    """Samples done, looked at again and again; times are of the monotonic clock."""

    at: list[float] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    def note(self, done: int) -> None:
        """So many are done now."""
        self.at.append(time.monotonic())
        self.done.append(done)

    def reached(self, samples: float) -> float:
        """When so many were done; between two looks it is taken to go evenly."""
        return float(np.interp(samples, *_rises(self.done, self.at)))

    @property
    def finished(self) -> float:
        """The first look that found as many done as the last one did."""
        return self.at[self.done.index(self.done[-1])]

    @property
    def silent_s(self) -> float:
        """How long nothing more has been done."""
        return self.at[-1] - self.finished

    def steady(self, fed_until: float) -> tuple[float, float]:
        """When the steady part began and ended: without the first and the last tenth.

        Nor does it last longer than there was something to feed: what is left in the queue then is
        done faster, with the publisher's share of the processors.
        """
        total = self.done[-1]
        first = self.reached(total * _EDGE)
        return first, max(min(self.reached(total * (1 - _EDGE)), fed_until), first)

    def rates(self, began: float, fed_until: float) -> dict[str, float | None]:
        """Samples a second: all of them since ``began``, and in the steady part.

        None where the steady part holds less than half of the samples: the run was too short.
        """
        seconds, (first, last) = self.finished - began, self.steady(fed_until)
        in_steady = float(np.diff(np.interp([first, last], self.at, self.done))[0])
        is_typical = last > first and in_steady >= _TYPICAL * self.done[-1]
        return {
            "seconds": round(seconds, 2),
            "samples_per_s": round(self.done[-1] / seconds) if seconds > 0 else 0,
            "steady_seconds": round(last - first, 2) if is_typical else None,
            "steady_samples_per_s": round(in_steady / (last - first)) if is_typical else None,
        }


def _rises(done: list[int], at: list[float]) -> tuple[list[int], list[float]]:
    """The looks that found more than the one before, and the last look before each of them."""
    keep = [
        i for i in range(len(done))
        if i == 0 or done[i] > done[i - 1] or (i + 1 < len(done) and done[i + 1] > done[i])
    ]  # fmt: skip
    return [done[i] for i in keep], [at[i] for i in keep]
