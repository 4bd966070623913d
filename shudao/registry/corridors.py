"""The transport corridors of the plan, cut into segments of 1 km.

The lines are coarse (``data/ORIGIN.md``): shortest paths on a world highway graph, not a surveyed
alignment. Where two corridors run on the same line there is one road to measure, so a kilometre
belongs to the first corridor of the file that uses it, and the other leaves it out of its list.
Chainage goes on over what is left out. A last piece shorter than 1 km is left out as well.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString

from shudao.registry.boundaries import GEOD, county_of, locate
from shudao.registry.tree import DEFAULT_VINTAGE

SEGMENT_M = 1000.0
PRECISION_M = 2000.0
"""The graph's vertices are rounded to 0.001 degrees and kilometres apart in the mountains."""

_STEP_M = 200.0
_SAME_ROAD_DEGREES = 0.0005


class Corridor(msgspec.Struct, frozen=True):
    """One corridor: its line as ``(lon, lat)`` vertices, chainage from the first of them."""

    corridor: str
    name_zh: str
    name_en: str
    points: tuple[tuple[float, float], ...]


class Segment(NamedTuple):
    """One kilometre of a corridor. ``county`` holds its midpoint, by its code in 2018-10-31."""

    code: str
    corridor: str
    name: str
    km: int
    county: str
    lon: float
    lat: float
    line: LineString


@cache
def read_corridors() -> tuple[Corridor, ...]:
    """The corridors of the package, the one that keeps shared kilometres first."""
    data = files("shudao.registry").joinpath("data", "corridors.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[Corridor, ...])


@cache
def segments() -> tuple[Segment, ...]:
    """All segments inside Sichuan, by corridor and chainage."""
    taken: list[LineString] = []
    found: list[Segment] = []
    for corridor in read_corridors():
        lines = np.array(cut(np.array(corridor.points)), dtype=object)
        own = np.flatnonzero(~_on_taken_road(lines, taken))
        middles = shapely.get_coordinates(_point_at(lines[own], 0.5)).round(6)
        counties = locate(middles[:, 0], middles[:, 1])
        for km, middle, county in zip(own, middles, counties, strict=True):
            if county is not None:
                found.append(_segment(corridor, int(km), lines[km], middle, county))
        taken += list(lines[own])
    return tuple(found)


def segment_lines() -> tuple[tuple[str, ...], NDArray[np.object_]]:
    """Codes of the segments and, aligned with them, an array of shapely lines in WGS-84 degrees.

    ``shapely.STRtree(lines).query_nearest(points)`` finds the segment of each sample.
    """
    ours = segments()
    lines = np.empty(len(ours), dtype=object)
    lines[:] = [segment.line for segment in ours]
    return tuple(segment.code for segment in ours), lines


def cut(points: NDArray[np.float64]) -> list[LineString]:
    """Cut a line of ``(lon, lat)`` vertices, shape (n, 2), into whole kilometres from its start."""
    dense = _densify(points)
    _, _, steps = GEOD.inv(dense[:-1, 0], dense[:-1, 1], dense[1:, 0], dense[1:, 1])
    chainage = np.concatenate([[0.0], np.cumsum(steps)])
    ends = np.arange(0.0, chainage[-1] + 1e-6, SEGMENT_M)
    at_ends = np.column_stack([np.interp(ends, chainage, dense[:, axis]) for axis in (0, 1)])
    lines = []
    for k in range(len(ends) - 1):
        between = dense[(chainage > ends[k]) & (chainage < ends[k + 1])]
        lines.append(LineString(np.vstack([at_ends[k], between, at_ends[k + 1]])))
    return lines


def _densify(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add vertices along the geodesics, so that no two are farther apart than the step."""
    _, _, lengths = GEOD.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])
    dense: list[tuple[float, float]] = []
    for start, end, length in zip(points[:-1], points[1:], lengths, strict=True):
        dense.append((start[0], start[1]))
        pieces = int(length // _STEP_M)
        if pieces:
            dense += GEOD.npts(start[0], start[1], end[0], end[1], pieces)
    return np.array([*dense, tuple(points[-1])])


def _point_at(lines: NDArray[np.object_], share: float) -> NDArray[np.object_]:
    return np.asarray(shapely.line_interpolate_point(lines, share, normalized=True))


def _on_taken_road(lines: NDArray[np.object_], taken: list[LineString]) -> NDArray[np.bool_]:
    """Whether most of each kilometre (of five points on it) is road of another corridor."""
    points = np.stack([_point_at(lines, share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)])
    hits, _ = shapely.STRtree(taken).query(
        points.ravel(), predicate="dwithin", distance=_SAME_ROAD_DEGREES
    )
    on_road = np.zeros(points.size, dtype=bool)
    on_road[hits] = True
    return np.asarray(on_road.reshape(points.shape).sum(axis=0) >= 3)


def _segment(
    corridor: Corridor, km: int, line: LineString, middle: NDArray[np.float64], county: str
) -> Segment:
    road = corridor.corridor.split("/")[0]
    return Segment(
        code=f"{road}-{km:04d}",
        corridor=corridor.corridor,
        name=f"{corridor.name_zh} {corridor.corridor} K{km}–K{km + 1}",
        km=km,
        county=county_of(county, DEFAULT_VINTAGE),
        lon=float(middle[0]),
        lat=float(middle[1]),
        line=line,
    )
