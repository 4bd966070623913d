import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.propagation import (
    Environment,
    building_entry_loss,
    full_load_rsrq,
    okumura_hata,
    rma_los,
    rma_los_probability,
    rma_nlos,
    thermal_sinr,
    uma_nlos,
)


@pytest.mark.parametrize(
    ("km", "environment", "loss_db"),
    [
        (1, "urban", 125.8), (1, "suburban", 116.0), (1, "open", 97.5),
        (5, "urban", 150.4), (5, "suburban", 140.6), (5, "open", 122.1),
        (10, "urban", 161.0), (10, "suburban", 151.2), (10, "open", 132.7),
    ],
)  # fmt: skip
def test_okumura_hata_gives_the_published_values_at_850_mhz(
    km: float, environment: Environment, loss_db: float
) -> None:
    """Computed by hand from the formula that ns-3 has: hb 30 m, hm 1.5 m."""
    assert okumura_hata(km, 850, environment) == pytest.approx(loss_db, abs=0.06)


@pytest.mark.parametrize(
    ("rsrp_dbm", "environment", "km"),
    [(-84, "urban", 1.0), (-94, "suburban", 3.6), (-108, "open", 30), (-118, "urban", 9.1)],
)
def test_the_link_budget_gives_the_published_radius(
    rsrp_dbm: float, environment: Environment, km: float
) -> None:
    """NRS 29 dBm + 13 dB at 880 MHz reaches so far: computed by hand, to two digits."""
    assert 29 + 13 - okumura_hata(km, 880, environment) == pytest.approx(rsrp_dbm, abs=1.0)


def test_uma_without_line_of_sight_follows_38_901() -> None:
    """13.54 + 39.08 * 3 + 20 log 3.5 at 1 km and 3.5 GHz, computed by hand."""
    assert uma_nlos(1.0, 3500) == pytest.approx(141.661, abs=0.001)


def test_rma_in_sight_gives_the_value_that_mathworks_publishes() -> None:
    """Their example: 3.5 GHz, 30 m and 1.5 m, buildings of 7 m, 1 km east and 1 km north."""
    km = np.sqrt(1000**2 + 1000**2 + 28.5**2) / 1000
    assert rma_los(km, 3500, base_m=30, building_m=7) == pytest.approx(110.1615, abs=1e-4)


@pytest.mark.parametrize(("km", "seen_db", "unseen_db"), [(1, 94.8, 119.8), (5, 122.7, 146.9)])
def test_rma_gives_the_published_values_at_850_mhz(
    km: float, seen_db: float, unseen_db: float
) -> None:
    """Below and beyond the break point at 802 m; computed from the formulas that ns-3 has."""
    assert rma_los(km, 850, base_m=30) == pytest.approx(seen_db, abs=0.06)
    assert rma_nlos(km, 850, base_m=30) == pytest.approx(unseen_db, abs=0.06)


def test_sight_fades_over_a_kilometre() -> None:
    """38.901 table 7.4.2-1: sure within 10 m, then exp(-(d - 10 m) / 1000 m)."""
    np.testing.assert_allclose(rma_los_probability([0.005, 1.01]), [1.0, np.exp(-1)])


def test_a_wall_costs_what_38_901_says() -> None:
    """0.88 GHz, by hand: glass 2.176 dB, concrete 8.52 dB, 30 and 70 % of the power."""
    assert building_entry_loss(880) == pytest.approx(10.525, abs=0.01)


@given(
    st.floats(0.1, 50),
    st.floats(1.01, 3),
    st.floats(150, 1500),
    st.sampled_from(["urban", "suburban", "open"]),
)
def test_loss_grows_with_distance(
    km: float, factor: float, mhz: float, environment: Environment
) -> None:
    """Farther is never better, and open land never worse than a town."""
    near, far = okumura_hata([km, km * factor], mhz, environment)
    assert near < far
    assert okumura_hata(km, mhz, "open") < okumura_hata(km, mhz, "urban")


def test_thermal_sinr_is_that_of_a_receiver_with_noise_figure_9() -> None:
    """Thermal noise of 15 kHz is -174 + 41.8 + 9 dBm: at -118 dBm 5 dB are left."""
    np.testing.assert_allclose(thermal_sinr([-118.0, -128.0]), [5.2, -4.8])


def test_rsrq_of_a_full_cell_is_that_of_twelve_tones() -> None:
    """Without noise a full cell has -10.8 dB; at SINR 0 dB half the power is noise."""
    np.testing.assert_allclose(full_load_rsrq([100.0, 0.0]), [-10.79, -13.80], atol=0.01)
