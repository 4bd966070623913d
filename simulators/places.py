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
Texts = NDArray[np.str_]

MOUNTAIN_PREFECTURES = (5132, 5133, 5134)
"""阿坝, 甘孜 and 凉山: the plateau and its gorges, where propagation and roll-out are hardest."""

_QUERY = """
SELECT place_id, kind, subkind, code, county, lon, lat FROM place
WHERE vintage = $1 AND kind IN ('village', 'segment', 'site', 'wlan')
  AND lon IS NOT NULL AND lat IS NOT NULL
ORDER BY array_position('{village,segment,site,wlan}', kind), code
"""


def is_mountain(county: Ints) -> Bools:
    """Which counties (six digits) lie in one of the three western prefectures."""
    return np.asarray(np.isin(county // 100, MOUNTAIN_PREFECTURES), np.bool_)


@dataclass(frozen=True)
class Places:
    """Villages (with communities and special units), segments of corridors, key sites and public
    WLAN areas.

    ``station_id`` is the place id of the village's information station, 0 where it has none.
    """

    place_id: Ints
    code: tuple[str, ...]
    kind: Texts
    subkind: Texts
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

    @cached_property
    def points(self) -> tuple[Floats, Floats, Ints]:
        """Longitudes and latitudes at which places lie, each once, and the point of each place:
        key sites lie where their community does."""
        at, point = np.unique(self.lon + 1j * self.lat, return_inverse=True)
        return at.real, at.imag, np.asarray(point, np.int64)

    @cached_property
    def is_segment(self) -> Bools:
        """A kilometre of a corridor."""
        return np.asarray(self.kind == "segment")

    @cached_property
    def is_settled(self) -> Bools:
        """A village, a community or a special unit."""
        return np.asarray(self.kind == "village")

    @cached_property
    def is_village(self) -> Bools:
        """An administrative village."""
        return np.asarray(self.is_settled & (self.subkind == "village"))

    @cached_property
    def is_community(self) -> Bools:
        """A community of a town."""
        return np.asarray(self.is_settled & (self.subkind == "community"))

    @cached_property
    def is_site(self) -> Bools:
        """A key scenario site; its subkind says which (`constants.KEY_SITES`)."""
        return np.asarray(self.kind == "site")

    @cached_property
    def is_further_site(self) -> Bools:
        """A key site that is not the first of its kind in its community."""
        return self.is_site & ~np.char.endswith(np.array(self.code), "-1")

    @cached_property
    def is_wlan(self) -> Bools:
        """A public WLAN area."""
        return np.asarray(self.kind == "wlan")

    @property
    def prefecture(self) -> Ints:
        """Four-digit codes."""
        return self.county // 100

    @property
    def is_mountain(self) -> Bools:
        """Whether it lies in one of the three western prefectures."""
        return is_mountain(self.county)


def make_places(rows: list[tuple[Any, ...]], station_of: dict[str, int]) -> Places:
    """Columns from rows (place_id, kind, subkind, code, county, lon, lat)."""
    ids, kinds, subkinds, codes, counties, lons, lats = zip(*rows, strict=True)
    of_villages = (kind == "village" for kind in kinds)
    return Places(
        place_id=np.array(ids, np.int64),
        code=tuple(codes),
        kind=np.array(kinds, dtype="U8"),
        subkind=np.array([s or "" for s in subkinds], dtype="U12"),
        county=np.array(counties, np.int64),
        lon=np.array(lons, np.float64),
        lat=np.array(lats, np.float64),
        station_id=np.array(
            [station_of.get(c, 0) if v else 0 for c, v in zip(codes, of_villages, strict=True)],
            np.int64,
        ),
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
