"""Lists, counts and purges of quarantine, by filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from ingest.ingester import Ingester
from ingest.quarantine import rows
from ingest.quarantine.selection import Selection
from ingest.reasons import Reason
from tests.ingest.conftest import message, now_ms, radio

Connection: TypeAlias = "asyncpg.Connection[Any]"
NOW = datetime.now(UTC)


@pytest.fixture
async def refused(ingester: Ingester, connection: Connection) -> Connection:
    """Five refused samples, of which the first came three times, 40 days ago for the first."""
    t = now_ms()
    old = message("old", radio(t))
    await ingester.store_messages([old, old._replace(received_ms=t - 40 * 86_400_000), old])
    wrong = message("nb-telecom-a", radio(t, 9.0))
    await ingester.store_messages([wrong._replace(received_ms=t - 30 * 86_400_000)])
    await ingester.store_messages([message("nb-mobile-b", radio(t + i, 9.0), carrier="mobile")
                                   for i in range(2)])  # fmt: skip
    await ingester.store_messages([message("x", radio(t), carrier="telcom")])
    return connection


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(), ["nb-mobile-b", "nb-mobile-b", "nb-telecom-a", "old", "x"]),
        (Selection(carrier_id=2), ["nb-mobile-b", "nb-mobile-b"]),
        (Selection(carrier_id=0), ["x"]),
        (Selection(reasons=(Reason.OUT_OF_RANGE,), carrier_id=1), ["nb-telecom-a"]),
        (Selection(reasons=(Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_CARRIER)), ["old", "x"]),
        (Selection(device="old"), ["old"]),
        (Selection(stream="broadband"), []),
        (Selection(stream="radio", carrier_id=1), ["nb-telecom-a", "old"]),
        (Selection(before=NOW - timedelta(days=29)), ["nb-telecom-a"]),
        (Selection(since=NOW - timedelta(days=29), carrier_id=1), ["old"]),
        (Selection(ids=(2**60,)), []),
    ],
)
async def test_filters_meet(refused: Connection, selection: Selection, names: list[str]) -> None:
    """A list holds what meets all of them; counts and purges are of the very same rows."""
    found = await rows.newest(refused, selection, 100)
    assert sorted(row.device for row in found) == names
    counts = await rows.counts(refused, selection)
    assert sum(count.rows for count in counts) == len(found)
    last = await rows.last_id(refused)
    assert await rows.count_up_to(refused, selection, last) == len(found)
    assert await rows.purge_up_to(refused, selection, last) == len(found)
    left = await rows.newest(refused, Selection(), 100)
    assert len(left) == 5 - len(found)
    assert not {row.id for row in found} & {row.id for row in left}


async def test_the_newest_come_first(refused: Connection) -> None:
    """By the last time that they came; the limit cuts the oldest off."""
    found = await rows.newest(refused, Selection(), 4)
    assert [row.last_received for row in found] == sorted(
        (row.last_received for row in found), reverse=True
    )
    assert "nb-telecom-a" not in {row.device for row in found}


async def test_counts_tell_rows_and_how_often_they_came(refused: Connection) -> None:
    """By carrier and reason, most rows first."""
    counts = await rows.counts(refused, Selection())
    told = [(c.carrier_id, c.reason, c.rows, c.times) for c in counts]
    assert told == [
        (2, "out_of_range", 2, 2), (0, "unknown_carrier", 1, 1), (1, "out_of_range", 1, 1),
        (1, "unknown_device", 1, 3),
    ]  # fmt: skip
    assert counts[3].newest > NOW - timedelta(days=1)


async def test_a_purge_spares_what_came_after_it_was_counted(refused: Connection) -> None:
    """What the user was asked about is what is deleted."""
    last = await rows.last_id(refused)
    await refused.execute(
        "INSERT INTO quarantine (digest, received, origin, topic, reason, detail, payload)"
        " VALUES ('new', now(), 'mqtt', 't', 'topic', 'd', '')"
    )
    assert await rows.purge_up_to(refused, Selection(), last) == 5
    [left] = await rows.newest(refused, Selection(), 10)
    assert left.topic == "t"


async def test_one_row_comes_with_its_payload(refused: Connection) -> None:
    """Or not at all."""
    [row] = await rows.newest(refused, Selection(device="x"), 1)
    found = await rows.find(refused, row.id)
    assert found is not None
    assert found[0] == row
    assert row.bytes == len(found[1])
    assert b"rsrp_dbm" in found[1]
    assert await rows.find(refused, 2**62) is None
