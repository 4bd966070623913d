import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shudao.evaluation.estimate import any_carrier, covered_chance, estimate


def test_a_place_that_is_clearly_good_or_bad_has_a_clear_chance() -> None:
    """200 places with 40 of 40 good samples, 200 with none: 1 and 0 for a share of 95 %."""
    samples = np.full((400, 1), 40)
    good = np.repeat([[40], [0]], 200, axis=0)
    chance = covered_chance(samples, good, 0.95)
    assert chance[:200].min() > 0.9
    assert chance[200:].max() < 1e-9


def test_estimates_are_nearer_to_the_truth_than_counting_states() -> None:
    """4,000 places at the threshold's edge, four carriers alike: counted, 5 points too many."""
    random = np.random.default_rng(1)
    signal = random.normal(1.2, 1.5, (4_000, 1)) + random.normal(0, 0.5, (4_000, 4))
    true_share = 1 / (1 + np.exp(-2 * signal))
    samples = np.full(true_share.shape, 40)
    good = random.binomial(samples, true_share)
    truth = (true_share >= 0.95).any(axis=1).mean()
    counted = (good >= 0.95 * samples).any(axis=1).mean()
    found = any_carrier(covered_chance(samples, good, 0.95)).mean()
    assert counted - truth > 0.04
    assert abs(found - truth) < (counted - truth) / 3


def test_a_carrier_without_samples_covers_nothing() -> None:
    """Its chance is 0, and that of the others is what it would be alone."""
    samples = np.tile([30, 0], (50, 1))
    good = np.tile([29, 0], (50, 1))
    chance = covered_chance(samples, good, 0.9)
    assert (chance[:, 1] == 0).all()
    np.testing.assert_array_equal(chance[:, :1], covered_chance(samples[:, :1], good[:, :1], 0.9))


def test_nothing_measured_is_no_estimate() -> None:
    """Unknown is not zero."""
    assert estimate(np.array([]), 10) is None


def test_all_measured_and_certain_has_no_uncertainty() -> None:
    """Three of four are covered, and that is known: 75 %, exactly."""
    found = estimate(np.array([1.0, 1.0, 0.0, 1.0]), 4)
    assert found is not None
    assert (found.share, found.low, found.high) == (0.75, 0.75, 0.75)


@pytest.mark.parametrize("places", [20, 200])
def test_intervals_hold_the_truth_when_a_part_is_measured(places: int) -> None:
    """Of 1,000 counties of which every place is covered or not by chance, 10 are measured."""
    random = np.random.default_rng(places)
    inside = 0
    for _ in range(1_000):
        covered = random.random(places) < 0.85
        found = estimate(covered[:10].astype(float), places)
        assert found is not None
        inside += found.low <= covered.mean() <= found.high
    assert inside >= 930


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.integers(0, 100),
)
def test_the_interval_holds_the_estimate_and_narrows_as_more_is_measured(
    chances: list[float], others: int
) -> None:
    """Within 0 … 1; a county that was measured whole is not less certain than a larger one."""
    chance = np.array(chances)
    whole = estimate(chance, len(chance))
    part = estimate(chance, len(chance) + others)
    assert whole is not None
    assert part is not None
    for found in (whole, part):
        assert 0 <= found.low <= found.share + 1e-12
        assert found.share <= found.high + 1e-12
        assert found.high <= 1
    assert part.high - part.low >= whole.high - whole.low - 1e-12
