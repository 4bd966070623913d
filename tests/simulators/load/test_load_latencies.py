"""Percentiles without keeping the values."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.load.latencies import Latencies


def test_percentiles_are_exact_to_one_per_cent() -> None:
    """Over five orders of magnitude, added in parts; the maximum is exact."""
    values = np.random.default_rng(1).lognormal(2, 2, 50_000)
    latencies = Latencies()
    for part in np.array_split(values, 77):
        latencies.add(part)
    for percent in (50, 95, 99, 99.9):
        exact = np.percentile(values, percent, method="inverted_cdf")
        assert latencies.percentile(percent) == pytest.approx(exact, rel=0.0101)
    assert latencies.summary()["max"] == round(values.max(), 2)
    assert len(latencies) == 50_000


def test_what_is_out_of_range_still_counts() -> None:
    """Nothing, and two hours."""
    latencies = Latencies()
    latencies.add([0.0, 7_200_000.0])
    assert len(latencies) == 2
    assert latencies.percentile(50) == pytest.approx(0.01)
    assert latencies.summary()["max"] == 7_200_000


def test_of_nothing_there_is_no_percentile() -> None:
    """None, not 0: a limit must not be kept by silence."""
    assert set(Latencies().summary().values()) == {None}
