"""Fill the database with the registry: vintages, divisions, villages and corridor segments.

Guarantees: all or nothing (one transaction); running it again changes nothing and takes one query;
two processes at once are safe (the second waits, then finds it done); a surveyed coordinate is
never replaced by a synthetic one; a place keeps its ``place_id`` for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from shudao.errors import ShudaoError
from shudao.registry.coordinates import place_villages
from shudao.registry.corridors import PRECISION_M, segments
from shudao.registry.tree import (
    DEFAULT_VINTAGE,
    SOURCES,
    VINTAGES,
    Tree,
    check_vintage,
    read_vintage,
)

Progress = Callable[[str], None]
Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

_LOCK = 0x5348_5544_414F_01
"""Advisory lock of a load; the letters SHUDAO."""

_STAGE_DIVISION = """
CREATE TEMP TABLE stage_division (LIKE division)
"""
_STAGE_PLACE = """
CREATE TEMP TABLE stage_place AS
SELECT kind, subkind, vintage, division, county, code, name, lon, lat, coord_source,
       coord_precision_m, source FROM place WITH NO DATA
"""
_MERGE_DIVISION = """
INSERT INTO division SELECT * FROM stage_division
ON CONFLICT (vintage, code) DO UPDATE
SET level = excluded.level, kind = excluded.kind, name = excluded.name, parent = excluded.parent
"""
_MERGE_PLACE = """
INSERT INTO place (kind, subkind, vintage, division, county, code, name, lon, lat, coord_source,
                   coord_precision_m, source)
SELECT * FROM stage_place
ON CONFLICT (vintage, kind, code) DO UPDATE
SET subkind = excluded.subkind, division = excluded.division, county = excluded.county,
    name = excluded.name, source = excluded.source,
    lon = CASE WHEN place.coord_source = 'surveyed' THEN place.lon ELSE excluded.lon END,
    lat = CASE WHEN place.coord_source = 'surveyed' THEN place.lat ELSE excluded.lat END,
    coord_precision_m = CASE WHEN place.coord_source = 'surveyed'
        THEN place.coord_precision_m ELSE excluded.coord_precision_m END,
    coord_source = CASE WHEN place.coord_source = 'surveyed'
        THEN 'surveyed' ELSE excluded.coord_source END
"""
_MARK_LOADED = """
INSERT INTO vintage (vintage, source) VALUES ($1, $2)
ON CONFLICT (vintage) DO UPDATE SET source = excluded.source, loaded_at = now()
"""


class Loaded(NamedTuple):
    """What a call of `load_registry` did: rows written, by vintage; nothing when all was there."""

    vintages: tuple[str, ...]
    divisions: int
    places: int


async def load_registry(
    connection: Connection,
    vintages: Iterable[str] = VINTAGES,
    progress: Progress | None = None,
    *,
    again: bool = False,
) -> Loaded:
    """Load the vintages that the database does not have yet; ``again`` rewrites those it has.

    ``progress`` is told each step in a short line. Raises `ShudaoError` for an unknown vintage.
    """
    wanted = [check_vintage(vintage) for vintage in vintages]
    say = progress or (lambda _: None)
    if not again and not await _missing(connection, wanted):
        return Loaded((), 0, 0)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        missing = wanted if again else await _missing(connection, wanted)
        divisions = places = 0
        await connection.execute(_STAGE_DIVISION)
        await connection.execute(_STAGE_PLACE)
        for vintage in missing:
            say(f"{vintage}: reading the tree and placing its villages")
            tree, rows = await asyncio.to_thread(_prepare, vintage)
            say(f"{vintage}: storing {len(tree.divisions):,} divisions, {len(rows):,} places")
            await _store(connection, tree, rows)
            divisions += len(tree.divisions)
            places += len(rows)
        await connection.execute("DROP TABLE stage_division, stage_place")
    if missing:
        say("gathering statistics")
        await connection.execute("ANALYZE division, place")
    return Loaded(tuple(missing), divisions, places)


async def require_loaded(connection: Connection, vintages: Iterable[str]) -> None:
    """Raise `ShudaoError` when the database lacks one of the vintages, or the whole schema."""
    hint = "run `shudao registry load`"
    try:
        rows = await connection.fetch("SELECT vintage::text FROM vintage")
    except asyncpg.UndefinedTableError as error:
        raise ShudaoError("the database has no registry yet", hint) from error
    there = {row["vintage"] for row in rows}
    for vintage in vintages:
        if vintage not in there:
            raise ShudaoError(f"the database has no registry of {vintage} yet", hint)


async def _missing(connection: Connection, wanted: Sequence[str]) -> list[str]:
    rows = await connection.fetch("SELECT vintage::text, source FROM vintage")
    there = {row["vintage"]: row["source"] for row in rows}
    return [v for v in wanted if there.get(v) != SOURCES[v]]


async def _store(connection: Connection, tree: Tree, places: list[tuple[Any, ...]]) -> None:
    """Write one vintage: by COPY into the stage, from there into its table."""
    day = date.fromisoformat(tree.vintage)
    await connection.execute(_MARK_LOADED, day, tree.source)
    divisions = [(day, d.code, d.level, d.kind, d.name, d.parent) for d in tree.divisions]
    for table, rows, merge in (
        ("stage_division", divisions, _MERGE_DIVISION),
        ("stage_place", places, _MERGE_PLACE),
    ):
        await connection.copy_records_to_table(table, records=rows)
        await connection.execute(merge)
        await connection.execute(f"TRUNCATE {table}")


def _prepare(vintage: str) -> tuple[Tree, list[tuple[Any, ...]]]:
    """The tree, and the rows of its places as in ``stage_place``."""
    tree = read_vintage(vintage)
    rows = _village_rows(tree)
    if vintage == DEFAULT_VINTAGE:
        rows += _segment_rows()
    return tree, rows


def _village_rows(tree: Tree) -> list[tuple[Any, ...]]:
    day = date.fromisoformat(tree.vintage)
    at = place_villages(tree)
    points = zip(at.lon.tolist(), at.lat.tolist(), at.precision_m.tolist(), strict=True)
    return [
        ("village", v.kind, day, v.code, int(v.county), v.code, v.name,
         lon, lat, "synthetic", precision, "nbs")
        for v, (lon, lat, precision) in zip(tree.villages, points, strict=True)
    ]  # fmt: skip


def _segment_rows() -> list[tuple[Any, ...]]:
    day = date.fromisoformat(DEFAULT_VINTAGE)
    return [
        ("segment", s.corridor, day, s.county, int(s.county), s.code, s.name,
         s.lon, s.lat, "coarse", PRECISION_M, "routrs")
        for s in segments()
    ]  # fmt: skip
