"""Corridors: whole kilometres, each in the county that it names, no road twice."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from shudao.registry import read_vintage
from shudao.registry.boundaries import GEOD, county_polygon, locate
from shudao.registry.corridors import cut, read_corridors, segment_lines, segments


def test_every_segment_is_a_kilometre_long() -> None:
    """Measured along the line, on the ellipsoid."""
    lengths = [GEOD.geometry_length(segment.line) for segment in segments()]
    assert lengths == pytest.approx([1000.0] * len(lengths), abs=0.1)


def test_every_segment_lies_in_the_county_that_it_names() -> None:
    """Its midpoint does; the code is one of 2018, as places of that vintage need."""
    counties = {county.code for county in read_vintage("2018-10-31").counties}
    for segment in segments():
        assert segment.county in counties
        assert county_polygon(segment.county).covers(shapely.Point(segment.lon, segment.lat))


def test_no_segment_lies_outside_sichuan() -> None:
    """The corridors run through 2,671 km of the province once shared roads count once."""
    ours = segments()
    found = locate(np.array([s.lon for s in ours]), np.array([s.lat for s in ours]))
    assert None not in found
    assert len(ours) == 2_671


def test_segments_of_a_corridor_follow_each_other() -> None:
    """Where km k+1 was not left out, it begins where km k ends; codes say the chainage."""
    by_code = {segment.code: segment for segment in segments()}
    assert len(by_code) == len(segments())
    joined = 0
    for segment in segments():
        road, km = segment.code.rsplit("-", 1)
        assert int(km) == segment.km
        after = by_code.get(f"{road}-{segment.km + 1:04d}")
        if after is not None:
            assert after.line.coords[0] == pytest.approx(segment.line.coords[-1], abs=1e-9)
            joined += 1
    assert joined > 2_500


def test_a_shared_road_belongs_to_one_corridor() -> None:
    """The middle of every segment is nearest to that segment, and no other corridor is on it."""
    codes, lines = segment_lines()
    corridor = np.array([segment.corridor for segment in segments()])
    middles = shapely.line_interpolate_point(lines, 0.5, normalized=True)
    mine, theirs = shapely.STRtree(lines).query(middles, predicate="dwithin", distance=1e-6)
    assert len(codes) == len(lines)
    assert set(mine) == set(range(len(lines)))
    assert (corridor[mine] == corridor[theirs]).all()


def test_all_corridors_of_the_plan_are_there() -> None:
    """Each keeps at least the kilometres that it has for itself."""
    named = {corridor.corridor for corridor in read_corridors()}
    assert named == {"G5", "G42", "G85/G76", "G318", "G317", "G108"}
    assert {segment.corridor for segment in segments()} == named


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(103, 105), st.floats(29, 31)), min_size=2, max_size=5))
def test_any_line_is_cut_into_whole_kilometres(points: list[tuple[float, float]]) -> None:
    """As many as fit; what remains at the end is shorter than one."""
    line = np.array(points)
    length = GEOD.line_length(line[:, 0], line[:, 1])
    pieces = cut(line)
    assert len(pieces) == pytest.approx(length / 1000, abs=1.001)
    for piece in pieces:
        assert GEOD.geometry_length(piece) == pytest.approx(1000, abs=1)
