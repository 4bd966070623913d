"""Columns of text → columns of numbers, times and positions. Pure functions on whole columns.

Each returns its values and a mask of the rows that could not be read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from pyproj import Transformer

from ingest.batch import Bools, Floats
from ingest.recorded.profile import EPOCH_FORMATS, Measured, Time
from shudao.registry import crs as china

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def numbers(texts: list[str], base: int = 10) -> tuple[Floats, Bools]:
    """Numbers of shape (n,), NaN where the cell is empty or cannot be read; and the latter."""
    filled = [text if text and not text.isspace() else "nan" for text in texts]
    try:
        if base == 10:
            return np.array(filled, dtype=np.str_).astype(np.float64), _none(filled)
    except ValueError:
        pass  # some cell is no number: find it
    return _each(filled, float if base == 10 else lambda t: _integer(t, base))


def _integer(text: str, base: int) -> float:
    return np.nan if text == "nan" else float(int(text, base))


def _none(rows: list[str]) -> Bools:
    return np.zeros(len(rows), np.bool_)


def _each(texts: list[str], parse: Callable[[str], float]) -> tuple[Floats, Bools]:
    values, bad = np.full(len(texts), np.nan), _none(texts)
    for row, text in enumerate(texts):
        try:
            values[row] = parse(text)
        except (ValueError, OverflowError):
            bad[row] = True
    return values, bad


def measured(texts: list[str], field: Measured) -> tuple[Floats, Bools]:
    """Values of a field in the stream's unit; sentinels are NaN, as absent cells are."""
    words = {a for a in field.absent if isinstance(a, str)}
    if words:
        texts = ["" if text.strip() in words else text for text in texts]
    values, bad = numbers(texts, field.base)
    sentinels = [a for a in field.absent if not isinstance(a, str)]
    values[np.isin(values, sentinels)] = np.nan
    return values * field.scale, bad


def times(texts: list[str], spec: Time) -> tuple[Floats, Bools]:
    """Milliseconds since the epoch, UTC, rounded down; without the offset."""
    if spec.format in EPOCH_FORMATS:
        values, bad = numbers(texts)
        return np.floor(values * EPOCH_FORMATS[spec.format]), bad | ~np.isfinite(values)
    zone = ZoneInfo(spec.zone) if spec.zone else None
    pattern = None if spec.format == "iso" else spec.format
    return _each(texts, lambda text: _milliseconds(text.strip(), pattern, zone))


def _milliseconds(text: str, pattern: str | None, zone: ZoneInfo | None) -> float:
    time = datetime.fromisoformat(text) if pattern is None else datetime.strptime(text, pattern)
    if time.tzinfo is None:
        if zone is None:
            raise ValueError("no time zone")
        time = time.replace(tzinfo=zone)
    return (time - _EPOCH) // _MILLISECOND


def to_wgs84(east: Floats, north: Floats, crs: str) -> tuple[Floats, Floats]:
    """Degrees (lon, lat): NaN where either coordinate is absent, out of range where it is out
    of the CRS.
    """
    lon, lat = east.copy(), north.copy()
    if crs in china.CRSS:
        # Degrees that are none stay as they are: the shift is defined for degrees only.
        real = (np.abs(east) <= 180) & (np.abs(north) <= 90)
        lon[real], lat[real] = china.to_wgs84(east[real], north[real], crs)
    else:
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(east, north)
    absent = np.isnan(east) | np.isnan(north)
    return np.where(absent, np.nan, lon), np.where(absent, np.nan, lat)
