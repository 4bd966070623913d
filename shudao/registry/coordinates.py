"""Synthetic coordinates: no source has the villages' own, so each gets a plausible one.

Every village lies inside its own county's polygon, near its town's centre; towns are spread over
the county like blue noise (Mitchell's best candidate: of several random points the one farthest
from other towns and from the border). All randomness is a hash of the code, so the same code gets
the same draws on every machine; a town that keeps its code keeps its centre in every vintage.

These are not surveyed points: they are stored as ``synthetic`` with the county's radius as their
precision, and `shudao registry import-coordinates` replaces them.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from shudao.registry.boundaries import county_area_km2, county_polygon, county_today
from shudao.registry.tree import VINTAGES, Tree, read_vintage

DECIMALS = 6
"""Degrees are rounded to 0.1 m before the check, so that what is stored is what was checked."""

_KM_PER_DEGREE = 111.2
_CANDIDATES = 40
_COARSE_DEGREES = 0.005
_ROUNDS = 64

Floats = NDArray[np.float64]
Point = tuple[float, float]


class Placement(NamedTuple):
    """Coordinates of a tree's villages, in the order of ``tree.villages``; WGS-84 degrees."""

    lon: Floats
    lat: Floats
    precision_m: Floats
    """The radius of a circle as large as the county: all that is known of the place."""


def place_villages(tree: Tree) -> Placement:
    """Give every village of a vintage its synthetic coordinates."""
    centres = town_centres()
    towns_in = Counter(county_today(town.code) for town in tree.towns)
    lon, lat, precision = [], [], []
    for county, group in groupby(tree.villages, key=lambda village: village.county):
        codes = [village.code for village in group]
        area = county_area_km2(county)
        around = np.array([centres[code[:9]] for code in codes])
        spread_km = np.sqrt(area / towns_in[county_today(county)] / np.pi)
        x, y = _scatter(codes, around, float(spread_km), county_polygon(county))
        lon.append(x)
        lat.append(y)
        precision.append(np.full(len(codes), np.sqrt(area / np.pi) * 1000))
    return Placement(np.concatenate(lon), np.concatenate(lat), np.concatenate(precision))


@cache
def town_centres() -> dict[str, Point]:
    """``(lon, lat)`` of the centre of every town of every vintage, by nine-digit code.

    Towns that every vintage has come first, then the others, oldest first: so each vintage by
    itself is well spread.
    """
    seen = Counter(town.code for v in VINTAGES for town in read_vintage(v).towns)
    lasting = sorted(seen, key=lambda code: (county_today(code), -seen[code], _first(code), code))
    centres: dict[str, Point] = {}
    for county, group in groupby(lasting, key=county_today):
        codes = list(group)
        centres.update(zip(codes, _spread(codes, county_polygon(county)), strict=True))
    return centres


def _first(town: str) -> int:
    """Index of the oldest vintage that has the town."""
    return next(i for i, v in enumerate(VINTAGES) if town in read_vintage(v).by_code)


def uniform(codes: list[str], draws: NDArray[np.int64] | list[int]) -> Floats:
    """Numbers in [0, 1), shape (codes, draws), that depend on code and draw alone (SplitMix64)."""
    with np.errstate(over="ignore"):
        z = np.array(codes, dtype=np.uint64)[:, None] * np.uint64(1_000_003)
        z = (z + np.asarray(draws, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)) * 2.0**-53)


def _spread(codes: list[str], polygon: BaseGeometry) -> list[Point]:
    """One point in the polygon for each code, each chosen far from those before it."""
    west, south, east, north = polygon.bounds
    draws = uniform(codes, np.arange(2 * _CANDIDATES))
    lon = np.round(west + (east - west) * draws[:, ::2], DECIMALS)
    lat = np.round(south + (north - south) * draws[:, 1::2], DECIMALS)
    inside = shapely.contains_xy(polygon, lon, lat)
    to_km = np.array([np.cos(np.radians((south + north) / 2)), 1.0]) * _KM_PER_DEGREE
    border = shapely.transform(polygon.boundary.simplify(_COARSE_DEGREES), lambda xy: xy * to_km)
    x, y = lon * to_km[0], lat * to_km[1]
    room = np.where(inside, 2 * shapely.distance(border, shapely.points(x, y)), -1.0)
    heart = polygon.representative_point()
    points: list[Point] = []
    for i in range(len(codes)):
        best = int(np.argmax(room[i]))
        if not inside[i, best]:
            points.append((heart.x, heart.y))
            continue
        points.append((float(lon[i, best]), float(lat[i, best])))
        distance = np.hypot(x - x[i, best], y - y[i, best])
        room = np.minimum(room, distance)
    return points


def _scatter(
    codes: list[str], centres: Floats, spread_km: float, polygon: BaseGeometry
) -> tuple[Floats, Floats]:
    """Points uniform in a disc around each centre, drawn again nearer until in the polygon."""
    lon, lat = centres[:, 0].copy(), centres[:, 1].copy()
    missing = np.arange(len(codes))
    for draw in range(_ROUNDS):
        wanted = [codes[i] for i in missing]
        reach = spread_km / _KM_PER_DEGREE * (1 - draw / _ROUNDS)
        draws = uniform(wanted, [2 * draw, 2 * draw + 1])
        radius, angle = reach * np.sqrt(draws[:, 0]), 2 * np.pi * draws[:, 1]
        at = centres[missing]
        x = np.round(at[:, 0] + radius * np.cos(angle) / np.cos(np.radians(at[:, 1])), DECIMALS)
        y = np.round(at[:, 1] + radius * np.sin(angle), DECIMALS)
        inside = shapely.contains_xy(polygon, x, y)
        lon[missing[inside]], lat[missing[inside]] = x[inside], y[inside]
        missing = missing[~inside]
        if not len(missing):
            break
    return lon, lat
