"""Loading the registry: whole, once, by two at a time, never over surveyed coordinates."""

import asyncio
from datetime import date
from typing import Any, TypeAlias

import asyncpg
import pytest

from shudao.errors import ShudaoError
from shudao.registry.load import load_registry, require_loaded
from shudao.registry.tree import DEVELOPMENT_ZONES, VINTAGES

SMALLER = "2023-06-30"
IDS = "SELECT md5(string_agg(place_id || ' ' || code, '|' ORDER BY place_id)) FROM place"
EVERYTHING = "SELECT md5(string_agg(p::text, '|' ORDER BY place_id)) FROM place p"

Connection: TypeAlias = "asyncpg.Connection[Any]"


async def test_database_has_the_counts_of_both_vintages(connection: Connection) -> None:
    """Leaves by kind, and divisions by level, as `SELECT`s see them."""
    rows = await connection.fetch(
        "SELECT vintage::text, subkind, count(*) AS n FROM place WHERE kind = 'village'"
        " AND source = 'nbs' GROUP BY 1, 2"
    )
    assert {(r["vintage"], r["subkind"]): r["n"] for r in rows} == {
        ("2018-10-31", "village"): 45_909,
        ("2018-10-31", "community"): 7_590,
        ("2018-10-31", "special"): 79,
        ("2023-06-30", "village"): 25_966,
        ("2023-06-30", "community"): 8_408,
        ("2023-06-30", "special"): 38,
    }
    for vintage in VINTAGES:
        counties = await connection.fetchval(
            "SELECT count(*) FROM division WHERE vintage = $1 AND level = 'county'"
            " AND code <> ALL($2)",
            date.fromisoformat(vintage),
            list(DEVELOPMENT_ZONES),
        )
        assert counties == 183


async def test_every_place_lies_in_a_division_and_county_of_its_vintage(
    connection: Connection,
) -> None:
    """Villages and segments alike, and the county is the division's first six digits."""
    lost = await connection.fetchval(
        "SELECT count(*) FROM place p WHERE source IN ('nbs', 'routrs') AND NOT EXISTS ("
        " SELECT 1 FROM division d WHERE d.vintage = p.vintage AND d.code = p.division"
        " AND left(d.code, 6) = p.county::text)"
    )
    assert lost == 0


async def test_every_division_has_its_parent(connection: Connection) -> None:
    """Only the province has none."""
    roots = await connection.fetch(
        "SELECT c.code FROM division c LEFT JOIN division p"
        " ON p.vintage = c.vintage AND p.code = c.parent WHERE p.code IS NULL"
    )
    assert [r["code"] for r in roots] == ["51", "51"]


async def test_places_say_what_their_coordinates_are_worth(connection: Connection) -> None:
    """Synthetic villages and coarse segments, none without a precision, ids from 1 up."""
    rows = await connection.fetch(
        "SELECT kind, coord_source, count(*) AS n, min(place_id) AS least,"
        " count(coord_precision_m) AS stated FROM place"
        " WHERE source IN ('nbs', 'routrs') GROUP BY 1, 2"
    )
    found = {(r["kind"], r["coord_source"]): r["n"] for r in rows}
    assert found == {("village", "synthetic"): 87_990, ("segment", "coarse"): 2_671}
    assert all(r["stated"] == r["n"] for r in rows)
    assert min(r["least"] for r in rows) >= 1


async def test_loading_twice_changes_nothing(connection: Connection) -> None:
    """The second call finds both vintages and leaves every row as it was."""
    before = await connection.fetchval(EVERYTHING)
    done = await load_registry(connection)
    assert (done.vintages, done.divisions, done.places) == ((), 0, 0)
    assert await connection.fetchval(EVERYTHING) == before


async def test_loading_again_keeps_ids_and_surveyed_coordinates(empty_database_url: str) -> None:
    """Even when every row is rewritten."""
    connection = await asyncpg.connect(empty_database_url)
    try:
        await load_registry(connection, [SMALLER])
        await connection.execute(
            "UPDATE place SET lon = 104.1, lat = 30.6, coord_source = 'surveyed',"
            " coord_precision_m = 5, name = 'misspelt' WHERE code = '510104017001'"
        )
        ids = await connection.fetchval(IDS)
        done = await load_registry(connection, [SMALLER], again=True)
        assert done.places == 34_412
        row = await connection.fetchrow("SELECT * FROM place WHERE code = '510104017001'")
        assert (row["lon"], row["lat"], row["coord_source"]) == (104.1, 30.6, "surveyed")
        assert (row["coord_precision_m"], row["name"]) == (5, "水井坊社区居委会")
        assert await connection.fetchval("SELECT count(*) FROM place") == 34_412
        assert ids == await connection.fetchval(IDS)
    finally:
        await connection.close()


async def test_two_loads_at_once_load_once(empty_database_url: str) -> None:
    """The second waits for the first and then finds nothing to do."""
    connections = [await asyncpg.connect(empty_database_url) for _ in range(2)]
    try:
        done = await asyncio.gather(*(load_registry(c, [SMALLER]) for c in connections))
        assert sorted(d.places for d in done) == [0, 34_412]
        assert await connections[0].fetchval("SELECT count(*) FROM place") == 34_412
    finally:
        for connection in connections:
            await connection.close()


async def test_a_load_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    """All or nothing: the vintage is not marked as loaded before its places are."""
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            "ALTER TABLE place ADD CONSTRAINT none_in_zhaojue CHECK (county <> 513431)"
        )
        with pytest.raises(asyncpg.CheckViolationError):
            await load_registry(connection, [SMALLER])
        assert await connection.fetchval("SELECT count(*) FROM vintage") == 0
        assert await connection.fetchval("SELECT count(*) FROM division") == 0
        await connection.execute("ALTER TABLE place DROP CONSTRAINT none_in_zhaojue")
        assert (await load_registry(connection, [SMALLER])).places == 34_412
    finally:
        await connection.close()


async def test_missing_registry_is_told_in_one_line(empty_database_url: str) -> None:
    """The user learns the command that loads it."""
    connection = await asyncpg.connect(empty_database_url)
    try:
        with pytest.raises(ShudaoError, match="shudao registry load"):
            await require_loaded(connection, ["2018-10-31"])
    finally:
        await connection.close()
