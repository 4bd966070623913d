"""China's map offsets: GCJ-02 (Amap, Tencent) and BD-09 (Baidu) to and from WGS-84.

The forward formulas are the well-known ones of the open ``coordtransform`` and ``eviltransform``
projects (Krasovsky 1940 ellipsoid); the inverses have no closed form and are iterated until they
stand still, which is far below 0.1 m inside China. (``fast_geocn.coord`` is not used: its BD-09
has pi where the formula has 3000/180 pi, which moves points by tens of metres.)

All functions take and return arrays of degrees, ``(lon, lat)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Crs = Literal["wgs84", "gcj02", "bd09"]
CRSS: tuple[Crs, ...] = get_args(Crs)
Degrees = NDArray[np.float64]
_Transform = Callable[[Degrees, Degrees], tuple[Degrees, Degrees]]

_A = 6378245.0
_EE = 0.00669342162296594323
_BD_PI = np.pi * 3000.0 / 180.0
_ROUNDS = 20
_STILL_DEG = 1e-10
"""A hundredth of a millimetre."""


def _wave(x: Degrees, *terms: tuple[float, float]) -> Degrees:
    """2/3 of the sum of amplitude · sin(x · frequency · pi), in the order given."""
    total = sum(amplitude * np.sin(x * frequency * np.pi) for amplitude, frequency in terms)
    return np.asarray(total * 2.0 / 3.0)


def _offset(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Degrees that GCJ-02 adds to a WGS-84 position."""
    x, y = lon - 105.0, lat - 35.0
    ripple = _wave(x, (20, 6), (20, 2))
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
    north = north + ripple + _wave(y, (20, 1), (40, 1 / 3), (160, 1 / 12), (320, 1 / 30))
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
    east = east + ripple + _wave(x, (20, 1), (40, 1 / 3), (150, 1 / 12), (300, 1 / 30))
    phi = np.radians(lat)
    w = 1 - _EE * np.sin(phi) ** 2
    return (
        np.degrees(east / (_A / np.sqrt(w) * np.cos(phi))),
        np.degrees(north / (_A * (1 - _EE) / w**1.5)),
    )


def wgs84_to_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Shift WGS-84 positions to GCJ-02, 300 to 700 m in China."""
    east, north = _offset(lon, lat)
    return lon + east, lat + north


def gcj02_to_bd09(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Shift GCJ-02 positions to BD-09, about 900 m."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_PI)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_PI)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def wgs84_to_bd09(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Shift WGS-84 positions to BD-09."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))


def _invert(forward: _Transform, lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """Find what ``forward`` maps to (lon, lat): a fixed point, as the shift varies slowly."""
    guess_lon, guess_lat = lon, lat
    for _ in range(_ROUNDS):
        got_lon, got_lat = forward(guess_lon, guess_lat)
        wrong_lon, wrong_lat = lon - got_lon, lat - got_lat
        guess_lon, guess_lat = guess_lon + wrong_lon, guess_lat + wrong_lat
        if np.all(np.abs(wrong_lon) < _STILL_DEG) and np.all(np.abs(wrong_lat) < _STILL_DEG):
            break
    return guess_lon, guess_lat


def to_wgs84(lon: Degrees, lat: Degrees, crs: Crs) -> tuple[Degrees, Degrees]:
    """Positions in WGS-84, from any of the three systems."""
    match crs:
        case "wgs84":
            return lon, lat
        case "gcj02":
            return _invert(wgs84_to_gcj02, lon, lat)
        case "bd09":
            return _invert(wgs84_to_bd09, lon, lat)
