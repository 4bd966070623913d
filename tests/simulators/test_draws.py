import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.draws import Draws, text_key

KEYS = np.arange(200_000, dtype=np.uint64)


def test_a_draw_depends_on_its_key_and_not_on_its_neighbours() -> None:
    """A key alone, in a crowd, or in another order gets the same number."""
    draws = Draws(1)
    crowd = draws.uniform("x", KEYS)
    np.testing.assert_array_equal(draws.uniform("x", KEYS[::-1])[::-1], crowd)
    assert draws.uniform("x", 77)[0] == crowd[77]


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.text(max_size=8))
def test_seed_and_label_make_other_numbers(seed: int, other: int, label: str) -> None:
    """Two seeds, or two labels, share no draw."""
    here = Draws(seed).bits(label, KEYS[:8])
    assert (Draws(seed).bits(label, KEYS[:8]) == here).all()
    assert not (Draws(seed).bits(label + "'", KEYS[:8]) == here).any()
    if seed != other:
        assert not (Draws(other).bits(label, KEYS[:8]) == here).any()


def test_uniform_draws_fill_the_open_interval_evenly() -> None:
    """200,000 draws: never 0 or 1, and each tenth of the interval gets its share."""
    drawn = Draws(3).uniform("u", KEYS)
    assert 0 < drawn.min() < drawn.max() < 1
    counts, _ = np.histogram(drawn, 10, (0, 1))
    assert np.abs(counts - 20_000).max() < 5 * np.sqrt(20_000)


def test_normal_draws_have_mean_0_and_deviation_1_and_no_correlation() -> None:
    """Neighbouring keys and two labels are independent."""
    one, two = Draws(3).normal("a", KEYS), Draws(3).normal("b", KEYS)
    assert abs(one.mean()) < 0.01
    assert abs(one.std() - 1) < 0.01
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.01
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.01
    assert 0.0010 < (np.abs(one) > 3).mean() < 0.0045


def test_keys_of_texts_are_their_number_or_a_stable_hash() -> None:
    """A village's key is its code; a segment's never changes between runs."""
    assert text_key("510104020007") == 510104020007
    assert text_key("G5-0012") == text_key("G5-0012") != text_key("G5-0013")
    assert text_key("١٢") != 12
