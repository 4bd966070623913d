"""A duplicate, a late, an out-of-order and a malformed message, and what each does to raw data,
roll-ups, quarantine and the ledger."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from ingest.ingester import Ingester
from ingest.merge import Merger
from tests.ingest.conftest import message, now_ms, radio

pytestmark = pytest.mark.usefixtures("devices")
HOUR = 3_600_000


async def roll_up(connection: asyncpg.Connection[Any]) -> None:
    """What the pipeline does every second."""
    await Merger(connection).merge_all()
    await connection.execute("DISCARD TEMP")


PAIRS = (("nb-telecom-a", "telecom"), ("nb-mobile-b", "mobile"))


async def counts(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    """What the tables hold, and the same as the roll-ups and the ledger say."""
    await roll_up(connection)
    row = await connection.fetchrow(
        """SELECT (SELECT count(*) FROM radio_sample) AS raw,
            (SELECT coalesce(sum(radio_n), 0) FROM coverage_minute) AS minutes,
            (SELECT coalesce(sum(radio_n), 0) FROM coverage_hour) AS hours,
            (SELECT count(*) FROM coverage_hour) AS hour_rows,
            (SELECT coalesce(sum(samples), 0) FROM device_seen) AS seen,
            (SELECT count(*) FROM quarantine) AS quarantine,
            (SELECT coalesce(sum(stored), 0) FROM ingest_minute) AS ledger_stored,
            (SELECT coalesce(sum(duplicates), 0) FROM ingest_minute) AS ledger_duplicates,
            (SELECT coalesce(sum(quarantined), 0) FROM ingest_minute) AS ledger_quarantined,
            (SELECT coalesce(sum(received), 0) FROM ingest_minute) AS ledger_received"""
    )
    assert row is not None
    found = {k: int(v) for k, v in row.items()}
    assert found["raw"] == found["minutes"] == found["hours"] == found["seen"]
    assert found["ledger_stored"] == found["raw"]
    assert found["ledger_quarantined"] == found["quarantine"]
    assert found["ledger_received"] == (
        found["ledger_stored"] + found["ledger_duplicates"] + found["ledger_quarantined"]
    )
    return found


async def test_a_sample_reaches_raw_data_and_both_rollups(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """One message: one raw row with its values, in its county's minute and its place's hour."""
    t = now_ms()
    receipt = await ingester.store_messages([message("nb-telecom-a", radio(t, -101.5, pci=199))])
    assert (receipt.received, receipt.stored) == (1, 1)
    raw = await connection.fetchrow("SELECT * FROM radio_sample")
    assert raw is not None
    assert (raw["rsrp_dbm"], raw["sinr_db"], raw["ecl"], raw["pci"]) == (-101.5, 5.0, 0, 199)
    assert (raw["rsrq_db"], raw["cell_id"], raw["attached"], raw["lon"]) == (None,) * 4
    assert round(raw["time"].timestamp() * 1000) == t
    await ingester.roll_up()
    minute = await connection.fetchrow("SELECT * FROM coverage_minute")
    assert minute is not None
    assert (minute["county"], minute["carrier_id"], minute["technology_id"]) == (510104, 1, 1)
    assert (minute["rsrp_n"], minute["rsrp_sum_x100"], minute["ecl0_n"]) == (1, -10150, 1)
    assert sum(minute["signal_bins"]) == 1
    assert minute["down_n"] is None
    assert (await counts(connection))["hour_rows"] == 1


async def test_a_duplicate_changes_no_number(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """The same sample twice in a batch, and again in the next one, is stored once."""
    t = now_ms()
    one = message("nb-telecom-a", radio(t))
    first = await ingester.store_messages([one, one])
    await ingester.roll_up()
    before = await connection.fetch("SELECT * FROM coverage_hour")
    again = await ingester.store_messages([one, message("nb-telecom-a", radio(t + 1))])
    assert (first.stored, first.duplicates) == (1, 1)
    assert (again.stored, again.duplicates) == (1, 1)
    await ingester.roll_up()
    after = await connection.fetchrow("SELECT * FROM coverage_hour")
    assert after is not None
    assert before[0]["radio_n"] == 1
    assert after["radio_n"] == 2
    assert (await counts(connection))["ledger_duplicates"] == 2


async def test_of_two_different_samples_at_one_instant_the_first_stays(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """A device measures one thing at an instant: the second is a duplicate, in a batch or later."""
    t = now_ms()
    batch = [message("nb-telecom-a", radio(t, -90.0)), message("nb-telecom-a", radio(t, -91.0))]
    await ingester.store_messages(batch)
    await ingester.store_messages([message("nb-telecom-a", radio(t, -92.0))])
    assert await connection.fetchval("SELECT rsrp_dbm FROM radio_sample") == -90.0
    await ingester.roll_up()
    assert await connection.fetchval("SELECT rsrp_max FROM coverage_hour") == -90.0


async def test_late_and_out_of_order_samples_land_in_their_own_hour(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """Hours are those of the measurement; last-seen keeps the newest, whatever came last."""
    t = now_ms() // HOUR * HOUR
    await ingester.store_messages([message("nb-telecom-a", [radio(t), radio(t - 5 * HOUR)])])
    await ingester.store_messages([message("nb-telecom-a", radio(t - 30 * HOUR))])
    await ingester.store_messages([message("nb-telecom-a", radio(t - 5 * HOUR + 1))])
    await ingester.roll_up()
    hours = await connection.fetch("SELECT hour, radio_n FROM coverage_hour ORDER BY hour")
    assert [(int(r["hour"].timestamp() * 1000), r["radio_n"]) for r in hours] == [
        (t - 30 * HOUR, 1), (t - 5 * HOUR, 2), (t, 1),
    ]  # fmt: skip
    seen = await connection.fetchrow("SELECT * FROM device_seen")
    assert seen is not None
    assert int(seen["last_time"].timestamp() * 1000) == t
    assert seen["samples"] == 4
    await counts(connection)


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b'{"time": 1', "malformed", "truncated"),
        (b"\xff\xfe\x00", "malformed", "JSON is malformed"),
        (b"[" * 50_000, "malformed", "recursion"),
        (b"", "malformed", "truncated"),
        (b"[]", "empty", "the array holds 0 objects"),
        (b"[" + b"0," * 50_000 + b"0]", "too_many", "the array holds 50,001 objects → send at"),
        ({"rsrp_dbm": -90}, "invalid_field", "time"),
        ({"time": "now", "rsrp_dbm": -90}, "invalid_field", "$.time"),
        ({"time": 10**30, "rsrp_dbm": -90}, "invalid_field", "$.time"),
        (17, "invalid_field", "Expected `object | array`"),
        ({"time": None, "rsrp_dbm": -90}, "invalid_field", "$.time"),
    ],
)
async def test_a_malformed_message_is_kept_with_its_reason(
    ingester: Ingester,
    connection: asyncpg.Connection[Any],
    payload: Any,
    reason: str,
    detail: str,
) -> None:
    """It is quarantined as it came, its neighbour is stored, a redelivery adds nothing."""
    bad = message("nb-telecom-a", payload)
    good = message("nb-telecom-a", radio(now_ms()))
    receipt = await ingester.store_messages([bad, good])
    assert receipt.stored == 1
    assert receipt.quarantined == {reason: 1}
    row = await connection.fetchrow("SELECT * FROM quarantine")
    assert row is not None
    assert (row["topic"], row["payload"], row["carrier_id"]) == (bad.topic, bad.payload, 1)
    assert (row["reason"], row["device"]) == (reason, "nb-telecom-a")
    assert detail in row["detail"]
    again = await ingester.store_messages([bad, bad])
    assert (again.duplicates, again.quarantined.total()) == (2, 0)
    assert await connection.fetchval("SELECT times FROM quarantine") == 3
    await counts(connection)


@pytest.mark.parametrize(
    ("sample", "reason", "detail"),
    [
        ({"rsrp_dbm": -32768}, "out_of_range", "rsrp_dbm = -32768 is not in -156 … -31 (TS 36.133"),
        ({"ecl": 255}, "out_of_range", "ecl = 255 is not a whole number in 0 … 2"),
        ({"rsrp_dbm": -135, "ecl": 0}, "contradiction", "ECL 0"),
        ({"rsrp_dbm": -90, "attached": 0}, "contradiction", "attached"),
        ({}, "empty", "no field"),
        ({"lon": 104.0, "lat": 30.0, "attached": 1}, "empty", "no field"),
        ({"rsrp_dbm": -90, "technology": "6g"}, "unknown_technology", "vocabulary"),
        ({"rsrp_dbm": -90, "time": 1_000}, "time_old", "1970-01-01T00:00:01.000+00:00 lies before"),
        ({"rsrp_dbm": -90, "time": 4_000_000_000_000}, "time_ahead", "2096-10-02"),
        ({"rsrp_dbm": -90, "time": -(2**53)}, "time_old", "lies before"),
    ],
)
async def test_a_wrong_value_costs_its_sample_and_not_its_batch(
    ingester: Ingester,
    connection: asyncpg.Connection[Any],
    sample: dict[str, Any],
    reason: str,
    detail: str,
) -> None:
    """Of an array only the wrong object is refused, with a reason that its sender can act on."""
    t = now_ms()
    bad = {"time": t + 1, **sample}
    receipt = await ingester.store_messages(
        [message("nb-telecom-a", [radio(t), bad, radio(t + 2)])]
    )
    assert receipt.stored == 2
    assert receipt.quarantined == {reason: 1}
    found = await connection.fetchrow("SELECT detail, payload FROM quarantine")
    assert found is not None
    assert detail in found["detail"]
    assert str(bad["time"]).encode() in found["payload"]
    assert str(t + 2).encode() not in found["payload"]
    await counts(connection)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("shudao/v1/telecom/radio", "topic"),
        ("shudao/v1/telecom/radio/a/b", "topic"),
        ("other/v1/telecom/radio/a", "topic"),
        ("shudao/v2/telecom/radio/nb-telecom-a", "topic"),
        ("shudao/v1x/telecom/radio/nb-telecom-a", "topic"),
        (f"shudao/v1/telecom/{'long' * 2_000}/nb-telecom-a", "unknown_stream"),
        ("shudao/v1/telecom/ra\0dio/nb-telecom-a", "unknown_stream"),
        ("shudao/v1/telecom/ra\udcffdio/nb-telecom-a", "unknown_stream"),
        ("shudao/v1/telecom/radio/no\udcffbody", "unknown_device"),
        ("shudao/v1/telecom/radio/bb-telecom-a", "unknown_technology"),
        ("shudao/v1/telcom/radio/nb-telecom-a", "unknown_carrier"),
        ("shudao/v1/telecom/radar/nb-telecom-a", "unknown_stream"),
        ("shudao/v1/telecom/radio/nobody", "unknown_device"),
        ("shudao/v1/mobile/radio/nb-telecom-a", "wrong_carrier"),
        ("shudao/v1/telecom/radio/no\0body", "unknown_device"),
    ],
)
async def test_a_wrong_topic_is_quarantined(
    ingester: Ingester, connection: asyncpg.Connection[Any], topic: str, reason: str
) -> None:
    """Whoever may have sent it: nothing that arrives disappears."""
    from ingest.batch import Message

    sent = Message(topic, b'{"time": %d, "rsrp_dbm": -90}' % now_ms(), now_ms())
    receipt = await ingester.store_messages([sent])
    assert receipt.quarantined == {reason: 1}
    assert (await counts(connection))["quarantine"] == 1


async def test_a_bulk_message_holds_all_streams(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """On the batch topic each object names its device and stream."""
    t = now_ms()
    reading = {"stream": "reading", "device": "nb-telecom-a", "time": t}
    objects = [
        {"stream": "radio", "device": "nb-telecom-a", **radio(t)},
        {"stream": "broadband", "device": "bb-telecom-a", "time": t, "down_mbps": 93.5, "ipv6": 1},
        {**reading, "metric": "battery", "value": 88},
        {**reading, "metric": "mood", "value": 1},
        {"stream": "radio", "device": "nb-mobile-b", **radio(t)},
    ]
    receipt = await ingester.store_messages([message("uploader", objects, stream="batch")])
    assert receipt.stored == 3
    assert receipt.quarantined == {"unknown_metric": 1, "wrong_carrier": 1}
    await ingester.roll_up()
    hour = await connection.fetchrow("SELECT * FROM coverage_hour WHERE technology_id = 10")
    assert hour is not None
    assert (hour["down_sum_x100"], hour["ipv6_yes"], hour["radio_n"]) == (9350, 1, None)
    assert hour["down_bins"] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert await connection.fetchval("SELECT value FROM reading") == 88


async def test_a_device_registered_later_is_known_at_once(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """No restart: the next batch asks again."""
    late = message("nb-late", radio(now_ms()))
    assert (await ingester.store_messages([late])).quarantined == {"unknown_device": 1}
    await connection.execute(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ('nb-late', 1, 1, 'sensor', 'registered')"
    )
    assert (await ingester.store_messages([late])).stored == 1


async def test_a_drive_sample_counts_for_the_segment_it_was_taken_on(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """On the road: that segment and its county. Far from it: stored, but for no place."""
    segment = await connection.fetchrow(
        "SELECT * FROM place WHERE kind = 'segment' ORDER BY code LIMIT 1"
    )
    assert segment is not None
    t = now_ms()
    near = radio(t, lon=segment["lon"], lat=segment["lat"])
    far = radio(t + 1, lon=100.0, lat=33.5)
    await ingester.store_messages([message("drive-telecom", [near, far])])
    raw = await connection.fetch("SELECT place_id FROM radio_sample ORDER BY time")
    assert [r["place_id"] for r in raw] == [segment["place_id"], 0]
    await ingester.roll_up()
    counties = await connection.fetch("SELECT county FROM coverage_minute ORDER BY county")
    assert [r["county"] for r in counties] == [0, segment["county"]]


async def test_a_place_registered_later_counts_in_its_county(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """No reload is waited for: minutes and hours agree from the first sample on."""
    await ingester.store_messages([message("nb-telecom-a", radio(now_ms()))])
    place_id = await connection.fetchval(
        "INSERT INTO place (kind, vintage, division, county, code, name, coord_source, source)"
        " VALUES ('station', '2018-10-31', '513425101200', 513425, 'new', 'new', 'synthetic',"
        " 'simulated') RETURNING place_id"
    )
    await connection.execute(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)"
        " VALUES ('nb-new', 1, $1, 1, 'sensor', 'registered')",
        place_id,
    )
    await ingester.store_messages([message("nb-new", radio(now_ms()))])
    await ingester.roll_up()
    counties = await connection.fetch("SELECT county FROM coverage_minute ORDER BY county")
    assert [r["county"] for r in counties] == [510104, 513425]


async def test_a_large_array_of_refused_samples_is_taken_apart_once(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """Each refusal carries its own object; twice as many take twice as long, not four times."""
    t = now_ms()
    items = [{"time": t + i, "rsrp_dbm": -90} for i in range(50_000)]
    async with asyncio.timeout(30):
        receipt = await ingester.store_messages([message("nobody", items)])
    assert receipt.quarantined == {"unknown_device": 50_000}
    last = await connection.fetchval("SELECT payload FROM quarantine ORDER BY payload DESC LIMIT 1")
    assert json.loads(last)["time"] == t + 49_999


@pytest.mark.parametrize("in_one_message", [False, True])
async def test_a_sample_that_the_database_refuses_does_not_stop_the_stream(
    ingester: Ingester, connection: asyncpg.Connection[Any], in_one_message: bool
) -> None:
    """It is quarantined; its neighbours are stored, those of its own message too."""
    t = now_ms()
    await connection.execute(
        "ALTER TABLE radio_sample ADD CONSTRAINT no_pci_13 CHECK (pci IS DISTINCT FROM 13)"
    )
    try:
        samples = [radio(t + i, pci=i) for i in range(20)]
        receipt = await ingester.store_messages(
            [message("nb-telecom-a", s) for s in ([samples] if in_one_message else samples)]
        )
    finally:
        await connection.execute("ALTER TABLE radio_sample DROP CONSTRAINT no_pci_13")
    assert (receipt.received, receipt.stored) == (20, 19)
    assert receipt.quarantined == {"unstorable": 1}
    row = await connection.fetchrow("SELECT topic, detail, payload FROM quarantine")
    assert row is not None
    assert json.loads(row["payload"]) == samples[13]
    assert "no_pci_13" in row["detail"]


async def test_workers_that_write_the_same_samples_count_them_once(
    database_url: str, connection: asyncpg.Connection[Any]
) -> None:
    """Three at once, each with all samples in another order: the numbers of one."""
    t = now_ms()
    batches = [
        [message(d, radio(t + i), carrier=c) for d, c in PAIRS for i in range(b, b + 50)]
        for b in range(0, 500, 50)
    ]
    workers = [Ingester(database_url, origin="mqtt") for _ in range(3)]

    async def store(worker: Ingester, order: list[int]) -> int:
        return sum([(await worker.store_messages(batches[i])).stored for i in order])

    orders = [list(range(10)), list(range(9, -1, -1)), [5, 4, 6, 3, 7, 2, 8, 1, 9, 0]]
    stored = await asyncio.gather(*map(store, workers, orders))
    for worker in workers:
        await worker.aclose()
    assert sum(stored) == 1_000
    assert (await counts(connection))["raw"] == 1_000


async def test_one_ingester_serves_many_callers(
    ingester: Ingester, connection: asyncpg.Connection[Any]
) -> None:
    """As HTTP push will call it: at once, each with its own receipt, and nothing tried again."""
    t = now_ms()
    calls = [ingester.store_messages([message("nb-telecom-a", radio(t + i))]) for i in range(8)]
    with capture_logs() as logs:
        assert [r.stored for r in await asyncio.gather(*calls)] == [1] * 8
    assert logs == []
    await counts(connection)
