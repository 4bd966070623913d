"""GCJ-02 and BD-09: against published values, and there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shudao.registry.boundaries import GEOD
from shudao.registry.crs import CRSS, Crs, gcj02_to_bd09, to_wgs84, wgs84_to_gcj02
from tests.shudao.shifting import from_wgs84

TIANANMEN = np.array([116.404]), np.array([39.915])


def test_forward_formulas_agree_with_coordtransform() -> None:
    """The values that the coordtransform project and its ports test with."""
    lon, lat = wgs84_to_gcj02(*TIANANMEN)
    assert (lon[0], lat[0]) == pytest.approx((116.41024449916938, 39.91640428150164), abs=1e-12)
    lon, lat = gcj02_to_bd09(*TIANANMEN)
    assert (lon[0], lat[0]) == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-12)


def test_gcj02_agrees_with_eviltransform() -> None:
    """A second, independent implementation, in Shanghai."""
    lon, lat = wgs84_to_gcj02(np.array([121.5272106]), np.array([31.1774276]))
    assert (lon[0], lat[0]) == pytest.approx((121.531541859215, 31.17530398364597), abs=1e-9)


@pytest.mark.parametrize("crs", CRSS)
@settings(deadline=None)
@given(points=st.lists(st.tuples(st.floats(97, 109), st.floats(26, 35)), min_size=1, max_size=20))
def test_there_and_back_is_exact_to_a_millimetre(
    crs: Crs, points: list[tuple[float, float]]
) -> None:
    """The inverse is iterated until it stands still, anywhere in Sichuan."""
    lon, lat = np.array(points).T
    back_lon, back_lat = to_wgs84(*from_wgs84(lon, lat, crs), crs)
    _, _, metres = GEOD.inv(lon, lat, back_lon, back_lat)
    assert np.max(metres) < 0.001


@settings(deadline=None)
@given(st.floats(97, 109), st.floats(26, 35))
def test_offsets_have_the_known_size(lon: float, lat: float) -> None:
    """GCJ-02 is 100 to 1,000 m away from WGS-84; BD-09 adds 600 to 1,200 m."""
    x, y = np.array([lon]), np.array([lat])
    gcj = wgs84_to_gcj02(x, y)
    assert 100 < GEOD.inv(x, y, *gcj)[2][0] < 1_000
    assert 600 < GEOD.inv(*gcj, *gcj02_to_bd09(*gcj))[2][0] < 1_200
