"""Replay: what is valid now is stored once and leaves, what is not stays one row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import asyncpg
import pytest

from ingest.batch import Message
from ingest.ingester import Ingester
from ingest.quarantine.replay import Replayed, Replayer
from ingest.quarantine.selection import Selection
from ingest.reasons import Reason
from shudao.settings import get_settings
from tests.ingest.conftest import message, now_ms, radio

pytestmark = pytest.mark.usefixtures("devices")
Connection: TypeAlias = "asyncpg.Connection[Any]"
Replay = Callable[..., Coroutine[Any, Any, Replayed]]
EVERYTHING = Selection()


@pytest.fixture
def replay(database_url: str) -> Replay:
    """Replays a selection on the shared database."""

    async def run(selection: Selection = EVERYTHING, **options: Any) -> Replayed:
        return await Replayer(database_url, **options).run(selection)

    return run


async def register(connection: Connection, name: str, carrier: int = 1) -> None:
    """What an operator does about an unknown device."""
    await connection.execute(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ($1, $2, 1, 'sensor', 'registered')",
        name,
        carrier,
    )


async def quarantine(connection: Connection) -> list[dict[str, Any]]:
    """All rows, oldest first."""
    rows = await connection.fetch("SELECT * FROM quarantine ORDER BY quarantine_id")
    return [dict(row) for row in rows]


async def ledger(connection: Connection, origin: str = "replay") -> list[int]:
    """received, stored, duplicates, quarantined of an origin."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(received), 0)::int, coalesce(sum(stored), 0)::int,"
        " coalesce(sum(duplicates), 0)::int, coalesce(sum(quarantined), 0)::int"
        " FROM ingest_minute WHERE origin = $1",
        origin,
    )
    assert row is not None
    return list(row)


async def test_a_device_is_registered_and_its_samples_come_back(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Stored with the time of their arrival, in roll-ups, last-seen and ledger; then quiet."""
    t = now_ms()
    late = [message("nb-late", radio(t - i), carrier="telecom") for i in range(3)]
    assert (await ingester.store_messages(late)).quarantined == {"unknown_device": 3}
    await register(connection, "nb-late")
    replayed = await replay()
    assert (replayed.rows, replayed.left, replayed.refused) == (3, 3, {})
    assert (replayed.samples.stored, replayed.samples.duplicates) == (3, 0)
    assert await quarantine(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 3
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 3
    seen = await connection.fetchrow("SELECT * FROM device_seen")
    assert seen is not None
    assert seen["samples"] == 3
    assert round(seen["last_received"].timestamp() * 1000) == max(m.received_ms for m in late)
    assert await ledger(connection) == [3, 3, 0, 0]
    assert await ledger(connection, "mqtt") == [3, 0, 0, 3]
    again = await replay()
    assert (again.rows, again.samples.received) == (0, 0)
    assert await ledger(connection) == [3, 3, 0, 0]


async def test_a_metric_is_added_and_its_readings_come_back(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Replaying reads the metrics as they are now."""
    sample = {"time": now_ms(), "metric": "replayed_mood", "value": 4.5}
    await ingester.store_messages([message("nb-telecom-a", sample, stream="reading")])
    await connection.execute("INSERT INTO metric (name, unit) VALUES ('replayed_mood', '1')")
    try:
        assert (await replay()).left == 1
        assert await connection.fetchval("SELECT value FROM reading") == 4.5
    finally:
        await connection.execute("DELETE FROM metric WHERE name = 'replayed_mood'")


async def test_what_is_there_already_leaves_as_a_duplicate(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """It was sent again after the fix, and stored then."""
    late = message("nb-late", radio(now_ms()))
    await ingester.store_messages([late])
    await register(connection, "nb-late")
    await ingester.store_messages([late])
    replayed = await replay()
    assert (replayed.left, replayed.samples.stored, replayed.samples.duplicates) == (1, 0, 1)
    assert await quarantine(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 1
    assert await ledger(connection) == [1, 0, 1, 0]


@pytest.mark.parametrize("is_registered", [True, False])
async def test_an_object_of_an_array_replays_as_an_object_alone(
    ingester: Ingester, connection: Connection, replay: Replay, is_registered: bool
) -> None:
    """Its position in the array was another: refused again it stays the one row that it was."""
    t = now_ms()
    objects = [
        {"stream": "radio", "device": d, **radio(t)} for d in ("nb-telecom-a", "late-1", "late-2")
    ]
    await ingester.store_messages([message("uploader", objects, stream="batch")])
    before = sorted(await quarantine(connection), key=lambda row: str(row["device"]))
    assert [row["device"] for row in before] == ["late-1", "late-2"]
    if is_registered:
        await register(connection, "late-2")
    replayed = await replay()
    after = sorted(await quarantine(connection), key=lambda row: str(row["device"]))
    assert after == before[: 1 if is_registered else 2]
    assert replayed.left == is_registered
    assert replayed.refused == {"unknown_device": len(after)}
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 1 + is_registered


async def test_what_is_refused_again_stays_one_row_with_the_reason_that_holds_now(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """The device is known now, but its value was wrong all the time; it counts as no arrival."""
    await ingester.store_messages([message("nb-late", radio(now_ms(), -32768))])
    [before] = await quarantine(connection)
    await register(connection, "nb-late")
    replayed = await replay()
    assert (replayed.rows, replayed.left, replayed.refused) == (1, 0, {"out_of_range": 1})
    [after] = await quarantine(connection)
    assert after["reason"] == "out_of_range"
    assert "rsrp_dbm = -32768" in after["detail"]
    assert after["detail"].endswith(" → leave out what was not measured, and check the unit")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"reason", "detail"}
    assert await ledger(connection) == [0, 0, 0, 0]


async def test_one_object_at_two_positions_is_stored_once_and_both_rows_leave(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Quarantine keeps both, since their positions differ."""
    one = radio(now_ms())
    await ingester.store_messages([message("nb-late", [one, one])])
    assert len(await quarantine(connection)) == 2
    assert (await replay()).refused == {"unknown_device": 2}
    await register(connection, "nb-late")
    replayed = await replay()
    assert (replayed.left, replayed.samples.stored) == (2, 1)
    assert await quarantine(connection) == []


async def test_a_whole_message_comes_apart(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """An array that was kept whole leaves; what of it is refused now has a row of its own."""
    t = now_ms()
    array = json.dumps([radio(t), radio(t + 1, 7.0), radio(t + 2)]).encode()
    await _keep(connection, Message("shudao/v1/telecom/radio/nb-telecom-a", array, t), "too_many")
    replayed = await replay()
    assert (replayed.rows, replayed.left, replayed.samples.stored) == (1, 1, 2)
    assert replayed.samples.quarantined == {"out_of_range": 1}
    [part] = await quarantine(connection)
    assert json.loads(part["payload"]) == radio(t + 1, 7.0)
    assert (part["reason"], part["origin"], part["times"]) == ("out_of_range", "replay", 1)
    assert await ledger(connection) == [3, 2, 0, 1]
    assert (await replay()).refused == {"out_of_range": 1}
    assert await quarantine(connection) == [part]


async def _keep(connection: Connection, sent: Message, reason: str, origin: str = "mqtt") -> None:
    """A row that today's program would not make."""
    await connection.execute(
        "INSERT INTO quarantine (digest, received, origin, topic, carrier_id, stream, device,"
        " reason, detail, payload) VALUES (sha256($1 || $5::text::bytea),"
        " to_timestamp($2::float8 / 1000), $3, $4, 1, 'radio', 'nb-telecom-a', $5, 'it was', $1)",
        sent.payload,
        sent.received_ms,
        origin,
        sent.topic,
        reason,
    )


async def test_a_payload_that_was_cut_off_keeps_its_reason(
    connection: Connection, replay: Replay
) -> None:
    """What is left of it would be refused as malformed, which it was not."""
    cut = (b"[" + json.dumps(radio(now_ms())).encode() + b", " * 40_000)[:65_536]
    sent = Message("shudao/v1/telecom/radio/nb-telecom-a", cut, now_ms())
    await _keep(connection, sent, "unstorable")
    before = await quarantine(connection)
    replayed = await replay()
    assert (replayed.rows, replayed.cut_off) == (0, 1)
    assert await quarantine(connection) == before


async def test_what_was_unstorable_and_is_whole_is_stored(
    connection: Connection, replay: Replay
) -> None:
    """After the database was mended."""
    payload = json.dumps(radio(now_ms())).encode()
    sent = Message("shudao/v1/telecom/radio/nb-telecom-a", payload, now_ms())
    await _keep(connection, sent, "unstorable")
    assert (await replay()).left == 1
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 1


async def test_a_line_of_a_file_is_left_alone(connection: Connection, replay: Replay) -> None:
    """It is no message; its reason must not become a wrong topic."""
    sent = Message("import/nbiot_oslo/file.csv", b"1;2;3", now_ms())
    await _keep(connection, sent, "out_of_range", origin="import")
    before = await quarantine(connection)
    replayed = await replay()
    assert (replayed.rows, replayed.imported) == (0, 1)
    assert await quarantine(connection) == before


async def test_a_clock_that_was_ahead_is_not_right_after_waiting(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """The time of the sample is compared with its arrival, not with the replay."""
    t = now_ms()
    hour = 3_600_000
    sent = message("nb-telecom-a", radio(t))._replace(received_ms=t - hour)
    await _keep(connection, sent, "time_ahead")
    replayed = await replay()
    assert replayed.refused == {"time_ahead": 1}
    [row] = await quarantine(connection)
    assert row["detail"].startswith("the time lies 3,600 s after the arrival → ")
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 0
    wider = get_settings().model_copy(update={"max_ahead_s": 3_600})
    assert (await replay(settings=wider)).left == 1


async def test_only_what_is_selected_is_replayed(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """The rest would be valid too, and stays."""
    for name in ("late-1", "late-2"):
        await ingester.store_messages([message(name, radio(now_ms()))])
        await register(connection, name)
    assert (await replay(Selection(device="late-2"))).left == 1
    [row] = await quarantine(connection)
    assert row["device"] == "late-1"
    assert (await replay(Selection(reasons=(Reason.MALFORMED,)))).rows == 0
    assert (await replay(Selection(ids=(row["quarantine_id"],)))).left == 1


async def test_a_dry_run_tells_and_writes_nothing(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Neither samples nor reasons, nor devices that would be registered on first sight."""
    t = now_ms()
    await ingester.store_messages(
        [message("late-1", radio(t)), message("late-2", radio(t, 9.0)), message("late-3", radio(t))]
    )
    before = await quarantine(connection)
    await register(connection, "late-1")
    await register(connection, "late-2")
    settings = get_settings().model_copy(update={"auto_register": "telecom"})
    replayed = await replay(dry_run=True, settings=settings)
    assert (replayed.rows, replayed.left, replayed.samples.stored) == (3, 1, 1)
    assert replayed.refused == {"out_of_range": 1, "unknown_device": 1}
    assert await quarantine(connection) == before
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 0
    assert await ledger(connection) == [0, 0, 0, 0]
    assert await connection.fetchval("SELECT count(*) FROM device WHERE name = 'late-3'") == 0


async def test_samples_and_rows_change_in_one_transaction(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Where the row cannot be deleted, its sample is not stored either: nothing is in both."""
    await ingester.store_messages([message("nb-late", radio(now_ms()))])
    await register(connection, "nb-late")
    await connection.execute(_FAIL_DELETE)
    try:
        with pytest.raises(asyncpg.RaiseError, match="not now"):
            await replay()
        assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 0
        assert await connection.fetchval("SELECT count(*) FROM rollup_journal") == 0
        assert len(await quarantine(connection)) == 1
    finally:
        await connection.execute("DROP FUNCTION fail CASCADE")
    assert (await replay()).left == 1


_FAIL_DELETE = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER fail BEFORE DELETE OR UPDATE ON quarantine FOR EACH ROW EXECUTE FUNCTION fail();
"""


async def test_a_message_that_the_database_refuses_stays_and_its_neighbours_leave(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """It is found by halving; one of the others is a duplicate, which needs the staging tables."""
    t = now_ms()
    late = [message("nb-late", radio(t + i, pci=i)) for i in range(7)]
    await ingester.store_messages(late)
    await register(connection, "nb-late")
    await ingester.store_messages([late[6]])
    await connection.execute("ALTER TABLE radio_sample ADD CONSTRAINT no_five CHECK (pci <> 5)")
    try:
        replayed = await replay()
    finally:
        await connection.execute("ALTER TABLE radio_sample DROP CONSTRAINT no_five")
    assert (replayed.rows, replayed.left, replayed.refused) == (7, 6, {"unstorable": 1})
    [row] = await quarantine(connection)
    assert "no_five" in row["detail"]
    assert await ledger(connection) == [6, 5, 1, 0]
    assert (await replay()).left == 1


async def test_two_replays_at_once_store_each_sample_once(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """Whatever one of them finds done by the other is a duplicate."""
    t = now_ms()
    await ingester.store_messages([message("nb-late", radio(t - i)) for i in range(3_000)])
    await register(connection, "nb-late")
    both = await asyncio.gather(replay(), replay())
    assert sum(r.samples.stored for r in both) == 3_000
    assert await quarantine(connection) == []
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 3_000


async def test_a_replay_ends_while_samples_keep_arriving(
    ingester: Ingester, connection: Connection, replay: Replay
) -> None:
    """It rolls up what was stored until it ended, and leaves the rest to the ingester."""
    await ingester.store_messages([message("nb-late", radio(now_ms()))])
    await register(connection, "nb-late")
    await connection.execute(_ARRIVE_FOR_EVER)
    try:
        async with asyncio.timeout(20):
            assert (await replay()).left == 1
    finally:
        await connection.execute("DROP FUNCTION arrive CASCADE")
    assert await connection.fetchval("SELECT count(*) FROM rollup_journal") > 0
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 1


_ARRIVE_FOR_EVER = """
CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_journal (stream, samples, rows) VALUES (OLD.stream, OLD.samples, OLD.rows);
    RETURN NULL;
END $$;
CREATE TRIGGER arrive AFTER UPDATE ON rollup_journal FOR EACH ROW EXECUTE FUNCTION arrive();
"""
"""While something is rolled up into the minutes, as much arrives."""


async def test_stopping_finishes_the_page_in_hand(
    ingester: Ingester, connection: Connection, database_url: str, replay: Replay
) -> None:
    """The next replay goes on with the rest."""
    t = now_ms()
    await ingester.store_messages([message("nb-late", radio(t - i)) for i in range(2_500)])
    await register(connection, "nb-late")
    seen: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        seen.append((done, of))
        replayer.stop()

    replayer = Replayer(database_url, progress=stop)
    replayed = await replayer.run(EVERYTHING)
    assert (replayed.complete, replayed.left) == (False, 1_000)
    assert seen == [(1_000, 2_500)]
    rest = await replay()
    assert (rest.complete, rest.left) == (True, 1_500)
