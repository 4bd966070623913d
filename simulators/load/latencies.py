"""Percentiles of any number of latencies, in a histogram of fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_LOWEST_MS, _HIGHEST_MS, _GROWTH = 0.01, 3_600_000.0, 1.01
_EDGES = _LOWEST_MS * _GROWTH ** np.arange(int(np.log(_HIGHEST_MS / _LOWEST_MS) / np.log(_GROWTH)))
PERCENTS = (50.0, 95.0, 99.0, 99.9)


class Latencies:
    """Latencies in milliseconds; a percentile is exact to 1 %, the maximum exactly."""

    def __init__(self) -> None:
        self._counts = np.zeros(len(_EDGES) + 1, np.int64)
        self._max_ms = 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, ms: ArrayLike) -> None:
        """Note some more."""
        values = np.asarray(ms, np.float64)
        if values.size:
            self._counts += np.bincount(np.searchsorted(_EDGES, values), minlength=len(_EDGES) + 1)
            self._max_ms = max(self._max_ms, float(values.max()))

    def percentile(self, percent: float) -> float | None:
        """The least latency that so many percent did not exceed; None of none."""
        total = len(self)
        if not total:
            return None
        rank = max(np.ceil(total * percent / 100), 1)
        edge = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(min(_EDGES[min(edge, len(_EDGES) - 1)], self._max_ms))

    def summary(self) -> dict[str, float | None]:
        """Percentiles and the maximum, in ms: p50, p95, p99, p99.9, max."""
        ms = {f"p{p:g}": self.percentile(p) for p in PERCENTS}
        ms["max"] = self._max_ms if len(self) else None
        return {name: None if v is None else round(v, 2) for name, v in ms.items()}
