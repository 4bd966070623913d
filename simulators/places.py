"""The places that a world is made of, as columns, read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from shudao.errors import ShudaoError
from simulators.draws import Floats, Keys, text_key

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOUNTAIN_PREFECTURES = (5132, 5133, 5134)
"""阿坝, 甘孜 and 凉山: the plateau and its gorges, where propagation and roll-out are hardest."""

_QUERY = """
SELECT place_id, kind, subkind, code, county, lon, lat FROM place
WHERE vintage = $1 AND kind IN ('village', 'segment') AND lon IS NOT NULL AND lat IS NOT NULL
ORDER BY kind DESC, code
"""


@dataclass(frozen=True)
class Places:
    """Villages (with communities and special units) and segments of corridors.

    ``station_id`` is the place id of the village's information station, 0 where it has none.
    """

    place_id: Ints
    code: tuple[str, ...]
    is_segment: Bools
    is_village: Bools
    """An administrative village: neither a community nor a special unit nor a segment."""
    is_community: Bools
    county: Ints
    lon: Floats
    lat: Floats
    station_id: Ints

    def __len__(self) -> int:
        return len(self.code)

    @cached_property
    def key(self) -> Keys:
        """What random draws of a place depend on: its code."""
        return np.array([text_key(c) for c in self.code], np.uint64)

    @property
    def prefecture(self) -> Ints:
        """Four-digit codes."""
        return self.county // 100

    @property
    def is_mountain(self) -> Bools:
        """Whether it lies in one of the three western prefectures."""
        return np.isin(self.prefecture, MOUNTAIN_PREFECTURES)


def make_places(rows: list[tuple[Any, ...]], station_of: dict[str, int]) -> Places:
    """Columns from rows (place_id, kind, subkind, code, county, lon, lat)."""
    ids, kinds, subkinds, codes, counties, lons, lats = zip(*rows, strict=True)
    kind, subkind = np.array(kinds, dtype="U8"), np.array([s or "" for s in subkinds], dtype="U9")
    return Places(
        place_id=np.array(ids, np.int64),
        code=tuple(codes),
        is_segment=kind == "segment",
        is_village=(kind == "village") & (subkind == "village"),
        is_community=(kind == "village") & (subkind == "community"),
        county=np.array(counties, np.int64),
        lon=np.array(lons, np.float64),
        lat=np.array(lats, np.float64),
        station_id=np.array([station_of.get(c, 0) for c in codes], np.int64),
    )


async def check_registry(connection: asyncpg.Connection[Any], vintage: str) -> None:
    """Raises `ShudaoError` when the database has no schema, or no villages of the vintage."""
    query = "SELECT EXISTS (SELECT FROM place WHERE vintage = $1 AND kind = 'village')"
    try:
        loaded = await connection.fetchval(query, date.fromisoformat(vintage))
    except asyncpg.UndefinedTableError as error:
        raise ShudaoError("the database has no tables yet", "run `shudao db migrate`") from error
    if not loaded:
        raise ShudaoError(
            f"the database has no villages of the vintage {vintage}", "run `shudao registry load`"
        )


async def read_places(connection: asyncpg.Connection[Any], vintage: str) -> Places:
    """All places of a vintage. Raises `ShudaoError` when the registry is not loaded."""
    day = date.fromisoformat(vintage)
    await check_registry(connection, vintage)
    rows = await connection.fetch(_QUERY, day)
    stations = await connection.fetch(
        "SELECT code, place_id FROM place WHERE vintage = $1 AND kind = 'station'", day
    )
    return make_places([tuple(r) for r in rows], {r["code"]: r["place_id"] for r in stations})
