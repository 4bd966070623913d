"""The journal: a sample is in it or in the roll-ups, never in both and never in neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import numpy as np
import pytest

from ingest import journal, merge
from ingest.ingester import Ingester
from ingest.merge import Merger, pause_after_hours
from ingest.rollup import MINUTE_MS
from shudao.streams import RADIO, STREAMS
from tests.ingest.conftest import message, now_ms, radio

pytestmark = pytest.mark.usefixtures("devices")


async def state(connection: asyncpg.Connection[Any]) -> tuple[int, int, int, int]:
    """Samples that wait, in minutes, in hours, and seen."""
    row = await connection.fetchrow(
        """SELECT (SELECT coalesce(sum(samples), 0) FROM rollup_journal),
            (SELECT coalesce(sum(radio_n), 0) FROM coverage_minute),
            (SELECT coalesce(sum(radio_n), 0) FROM coverage_hour),
            (SELECT coalesce(sum(samples), 0) FROM device_seen)"""
    )
    assert row is not None
    return tuple(int(v) for v in row)  # type: ignore[return-value]


async def store(ingester: Ingester, batches: int, samples: int = 10) -> None:
    t = now_ms() - 60_000
    for batch in range(batches):
        await ingester.store_messages(
            [message("nb-telecom-a", radio(t + batch * samples + i)) for i in range(samples)]
        )


async def test_stored_samples_wait_in_the_journal_until_they_are_rolled_up(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """Written with the raw rows, gone with the roll-up; duplicates never get there."""
    await store(ingester, 3)
    await store(ingester, 0)
    assert await state(connection) == (30, 0, 0, 0)
    assert await ingester.roll_up() == 30
    assert await state(connection) == (0, 30, 30, 30)
    assert await ingester.roll_up() == 0
    t = now_ms()
    twice = [message("nb-telecom-a", radio(t))] * 2
    await ingester.store_messages(twice)
    await ingester.store_messages(twice)
    assert (await state(connection))[0] == 1


async def test_a_merge_takes_a_bounded_number_of_samples(
    ingester: Ingester, connection: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, whole entries, as many as reach the bound; what is left comes next."""
    monkeypatch.setattr(merge, "SAMPLES_AT_ONCE", 15)
    await store(ingester, 5)
    merger = Merger(connection)
    assert [await merger.merge_minutes() for _ in range(4)] == [20, 20, 10, 0]
    assert await state(connection) == (50, 50, 0, 0)
    assert [await merger.merge_hours() for _ in range(4)] == [20, 20, 10, 0]
    await connection.execute("DISCARD TEMP")
    assert await state(connection) == (0, 50, 50, 50)


@pytest.mark.parametrize(("when", "in_minutes"), [("UPDATE", 0), ("DELETE", 40)])
async def test_a_merge_that_dies_leaves_all_as_it_was(
    ingester: Ingester, database_url: str, connection: asyncpg.Connection[Any],
    when: str, in_minutes: int,
) -> None:  # fmt: skip
    """Its connection is cut when it has added to the roll-ups and not yet committed."""
    await store(ingester, 4)
    await connection.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN OLD; END $$;"
        f"CREATE TRIGGER die BEFORE {when} ON rollup_journal EXECUTE FUNCTION die()"
    )
    victim = await asyncpg.connect(database_url)
    try:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await Merger(victim).merge_all()
    finally:
        await connection.execute("DROP TRIGGER die ON rollup_journal; DROP FUNCTION die")
    assert await state(connection) == (40, in_minutes, 0, 0)
    assert await ingester.roll_up() == 40
    assert await state(connection) == (0, 40, 40, 40)


async def test_of_several_mergers_one_works_and_nothing_counts_twice(
    ingester: Ingester, database_url: str, connection: asyncpg.Connection[Any]
) -> None:
    """The others are told so at once, or wait when they ask to."""
    await store(ingester, 6)
    connections = [await asyncpg.connect(database_url) for _ in range(3)]
    holder = connections[0]
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock($1)", merge._LOCK)
        assert await Merger(connections[1]).merge_minutes() is None
    totals = await asyncio.gather(*(Merger(c).merge_all() for c in connections[1:]))
    for c in connections:
        await c.close()
    assert sum(totals) == 60
    assert await state(connection) == (0, 60, 60, 60)


async def test_an_entry_that_cannot_be_read_is_not_lost(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """It stops the roll-ups with a word on why, and stays where it is."""
    await store(ingester, 1)
    await connection.execute(journal.APPEND, "radio", 5, b"\x93NUMPY nonsense")
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's own words
        await ingester.roll_up()
    assert (await state(connection))[:2] == (15, 0)


def test_a_long_merge_of_hours_is_followed_by_a_longer_pause() -> None:
    """It takes a small share of the time, comes every second where it is quick, and keeps up."""
    assert pause_after_hours(10, 0.01) == 1.0
    assert pause_after_hours(100_000, 3.0) == pytest.approx(17.0)
    assert pause_after_hours(merge.SAMPLES_AT_ONCE, 30.0) == 1.0


def test_chunks_share_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many samples a place has: a group is never in two chunks."""
    monkeypatch.setattr(merge, "CHUNK_ROWS", 10)
    random = np.random.default_rng(1)
    place = np.repeat(random.permutation(60), 9)[:500]
    place[random.permutation(500)[:30]] = 7
    chunks = merge._chunks(place)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(500))
    places = [set(place[chunk].tolist()) for chunk in chunks]
    assert sum(map(len, places)) == len(set.union(*places))
    assert len(chunks) > 20


async def test_samples_older_than_minutes_are_kept_are_only_in_hours(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """One of 31 days ago, one of 29: both in the hours and seen, one in the minutes."""
    days = [now_ms() - age * 86_400_000 for age in (31, 29)]
    await ingester.store_messages([message("nb-telecom-a", radio(t)) for t in days])
    await ingester.roll_up()
    assert await state(connection) == (0, 1, 2, 2)


@pytest.mark.parametrize("prepare", [merge._minutes, merge._hours])
def test_what_is_encoded_at_once_is_bounded(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Any], Iterator[Any]]
) -> None:
    """Of 5,000 samples each is a row of its own: in parts of at most 200 samples, all of
    them, and the statement that adds them comes with the last."""
    monkeypatch.setattr(merge, "CHUNK_ROWS", 100)
    rows = np.zeros(5_000, journal.dtype(RADIO))
    rows["time_ms"] = now_ms() - np.arange(5_000) * MINUTE_MS
    rows["place_id"], rows["county"] = np.arange(5_000) // 10, 510_104
    none = {name: np.zeros(0, journal.dtype(stream)) for name, stream in STREAMS.items()}
    parts = [p for p in prepare({**none, "radio": rows}) if p.table != "stage_seen"]
    largest = max(len(p.data) for p in parts)
    assert largest < 3 * sum(len(p.data) for p in parts) / len(parts) < 300_000
    assert len(parts) >= 25
    assert [bool(p.statement) for p in parts] == [False] * (len(parts) - 1) + [True]
