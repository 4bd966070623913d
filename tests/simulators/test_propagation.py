import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.propagation import (
    Environment,
    full_load_rsrq,
    okumura_hata,
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
