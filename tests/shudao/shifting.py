"""Points as another coordinate system has them, for files to be read."""

from __future__ import annotations

from shudao.registry.crs import Crs, Degrees, wgs84_to_bd09, wgs84_to_gcj02


def from_wgs84(lon: Degrees, lat: Degrees, crs: Crs) -> tuple[Degrees, Degrees]:
    """WGS-84 positions in any of the three systems."""
    match crs:
        case "wgs84":
            return lon, lat
        case "gcj02":
            return wgs84_to_gcj02(lon, lat)
        case "bd09":
            return wgs84_to_bd09(lon, lat)
