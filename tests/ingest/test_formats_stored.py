"""Each format on its way into the database: values, quarantine, and a second delivery."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import asyncpg
import pytest

from ingest.batch import Message
from ingest.formats import FormatError
from ingest.formats.units import convert_reading
from ingest.ingester import Ingester
from shudao.streams import topic
from tests.ingest.conftest import message, now_ms, radio
from tests.ingest.payloads import Example, as_cbor, examples
from tests.ingest.test_store import counts

pytestmark = pytest.mark.usefixtures("devices")
Connection: TypeAlias = "asyncpg.Connection[Any]"
NAMES = [f"{i}-{e.name}" for i, e in enumerate(examples(0))]
VALUES: dict[str, dict[str, Any]] = {
    "0-NUESTATS": {"rsrp_dbm": -75.8, "sinr_db": 13.2, "ecl": 0, "tx_power_dbm": 23.0, "pci": 22},
    "1-NUESTATS": {"rsrp_dbm": -70.4, "rsrq_db": -10.8, "earfcn": 3686, "ecl": None},
    "2-QENG": {"rsrp_dbm": -103, "ecl": 0, "tx_power_dbm": 14, "cell_id": 0x00288516},
    "3-QENG": {"rsrp_dbm": -90, "ecl": None, "tx_power_dbm": 14, "cell_id": 0x772F253},
    "4-SenML JSON": {"rsrp_dbm": -95.5, "sinr_db": 4, "ecl": 1},
    "5-SenML JSON": {"rsrp_dbm": -102, "ecl": 1, "cell_id": 78751515},
    "6-SenML CBOR": {"rsrp_dbm": -95.5, "sinr_db": 4, "ecl": 1},
    "7-SenML CBOR": {"rsrp_dbm": -102, "ecl": 1, "cell_id": 78751515},
    "8-OceanConnect": {"rsrp_dbm": -71.4, "rsrq_db": -13.3, "ecl": 1, "sinr_db": None},
    "9-China Unicom": {"rsrp_dbm": -120, "rsrq_db": -12.5, "ecl": 2, "sinr_db": 15, "lat": 30.66},
    "10-NDJSON": {"rsrp_dbm": -95, "ecl": 1},
}


def messages(example: Example) -> list[Message]:
    """With and without content type, and from a bulk uploader where it names its device."""
    own = topic("telecom", "radio", "nb-telecom-a")
    sent = [Message(own, example.payload, now_ms(), c) for c in (example.content_type, "")]
    if example.on_batch:
        sent.append(sent[0]._replace(topic=topic("telecom", "batch", "uploader")))
    return sent


@pytest.mark.parametrize("name", NAMES)
async def test_a_payload_is_stored_once_however_often_it_comes(
    ingester: Ingester, connection: Connection, name: str
) -> None:
    """In the same batch, in the next, on another topic: its values, and every number of one."""
    example = examples(now_ms())[NAMES.index(name)]
    sent = messages(example)
    receipt = await ingester.store_messages([sent[0], sent[0]])
    assert (receipt.stored, receipt.duplicates) == (example.samples, example.samples)
    row = await connection.fetchrow("SELECT * FROM radio_sample ORDER BY time LIMIT 1")
    assert row is not None
    expected = VALUES[name]
    assert {k: row[k] for k in expected} == pytest.approx(expected)
    assert (row["technology_id"], row["carrier_id"]) == (1, 1)
    await ingester.roll_up()
    before = await connection.fetch("SELECT * FROM coverage_hour")
    for again in sent:
        receipt = await ingester.store_messages([again])
        assert (receipt.stored, receipt.duplicates) == (0, example.samples)
    assert receipt.quarantined == {}
    assert (await counts(connection))["raw"] == example.samples
    assert await connection.fetch("SELECT * FROM coverage_hour") == before


async def test_readings_of_a_pack_are_stored(ingester: Ingester, connection: Connection) -> None:
    """Several metrics of one instant; an unknown one goes to quarantine."""
    pack = [
        {"bn": "nb-telecom-a/", "bt": now_ms() / 1000, "n": "battery", "u": "%EL", "v": 81},
        {"n": "mood", "v": 1},
        {"n": "battery", "t": -60, "v": 82},
    ]
    sent = Message(topic("telecom", "batch", "up"), as_cbor(pack), now_ms())
    receipt = await ingester.store_messages([sent])
    assert (receipt.stored, receipt.quarantined) == (2, {"unknown_metric": 1})
    values = await connection.fetch("SELECT value FROM reading ORDER BY time")
    assert [r["value"] for r in values] == [82, 81]


async def test_every_metric_is_stored_in_its_own_unit(connection: Connection) -> None:
    """The units that formats convert to are those of the table metric."""
    metrics = await connection.fetch("SELECT name, unit FROM metric")
    assert metrics
    for name, unit in metrics:
        assert convert_reading(name, "" if unit == "1" else unit, 7) == 7
        with pytest.raises(FormatError):
            convert_reading(name, "furlong", 7)


BAD_PARTS: list[tuple[str, str, str, str]] = [
    ("application/senml+json", '[{"n":"rsrp_dbm","bt":%d,"v":-90},{"n":"rsrp_dbm","t":-1,"v":"x"}]',
     "invalid_field", "SenML JSON, part 1: v = 'x' is no finite number"),
    ("", '[{"n":"rsrp_dbm","bt":%d,"v":-90},{"n":"rsrp_dbm","t":-1,"v":-32768}]',
     "out_of_range", "rsrp_dbm = -32768 is not in"),
    ("", '[{"n":"/4/0/2","bt":%d,"v":-90},{"n":"/4/0/13","t":-1,"v":7}]',
     "out_of_range", "SenML JSON, part 1: /4/0/13 = 7"),
    ("application/x-ndjson", '{"time":%d000,"rsrp_dbm":-90}\n{"time":1,"rsrp_dbm":-91}',
     "time_old", "lies before"),
    ("application/x-ndjson", '{"time":%d000,"rsrp_dbm":-90}\n{"time":1,"pci":"x"}',
     "invalid_field", "NDJSON: Expected `int | null`, got `str`"),
    ("application/ndjson", '{"time":%d000,"rsrp_dbm":-90}\n{"time":1',
     "malformed", "NDJSON, part 1: Input data was truncated"),
    ("application/vnd.unicom+json", '{"params":{"data":[{"key":"rsrp","value":-90,"ts":"%d000"},'
     '{"key":"rsrp","value":"x","ts":"1000"}]}}',
     "invalid_field", "China Unicom, part 1: rsrp: 'x' is no number"),
]  # fmt: skip


@pytest.mark.parametrize(("content_type", "text", "reason", "detail"), BAD_PARTS)
async def test_a_bad_part_is_quarantined_and_its_neighbour_stored(
    ingester: Ingester,
    connection: Connection,
    content_type: str,
    text: str,
    reason: str,
    detail: str,
) -> None:
    """With the whole payload and its content type, from which it can be decoded again."""
    payload = (text % (now_ms() // 1000)).encode()
    sent = Message(topic("telecom", "radio", "nb-telecom-a"), payload, now_ms(), content_type)
    receipt = await ingester.store_messages([sent])
    assert (receipt.stored, receipt.quarantined) == (1, {reason: 1})
    row = await connection.fetchrow("SELECT * FROM quarantine")
    assert row is not None
    assert (row["payload"], row["content_type"]) == (payload, content_type)
    assert (row["reason"], row["device"], row["stream"]) == (reason, "nb-telecom-a", "radio")
    assert detail in row["detail"]
    again = await ingester.store_messages([sent, sent])
    assert (again.stored, again.duplicates, again.quarantined) == (0, 4, {})
    assert await connection.fetchval("SELECT times FROM quarantine") == 3
    await counts(connection)


async def test_two_faults_of_a_payload_are_two_rows(
    ingester: Ingester, connection: Connection
) -> None:
    """Also when they say the same; delivered again they are still two."""
    pack = [{"n": "mood", "bt": now_ms() / 1000, "v": 1}] * 2
    sent = message("nb-telecom-a", pack)
    assert (await ingester.store_messages([sent])).quarantined == {"invalid_field": 2}
    assert (await ingester.store_messages([sent])).duplicates == 2
    rows = await connection.fetch("SELECT payload, times FROM quarantine")
    assert [(r["payload"], r["times"]) for r in rows] == [(sent.payload, 2)] * 2


@pytest.mark.parametrize(
    ("payload", "content_type", "stream", "reason", "detail"),
    [
        (b"Signal power:-758\nECL:0", "", "radio", "invalid_field", "has no time: send a line"),
        (b"time:1\nSignal power:-758", "", "batch", "invalid_field", "names no device: publish"),
        (b"time:1\nSignal power:-758", "", "reading", "invalid_field", "publish it under radio"),
        (b"\x81\xa1\x02\xc1\x01", "", "radio", "malformed", "tag 1 is none of SenML"),
        (b"{", "application/senml+json", "radio", "malformed", "truncated"),
        (b'{"time":1}\n' * 60_000, "", "radio", "too_many", "60,000 objects"),
        (b'{"notifyType":"deviceDataChanged"}', "", "batch", "empty", "no service Connectivity"),
    ],
)
async def test_a_payload_that_is_wrong_as_a_whole_is_one_row(
    ingester: Ingester,
    connection: Connection,
    payload: bytes,
    content_type: str,
    stream: str,
    reason: str,
    detail: str,
) -> None:
    """As it came; the message beside it is stored."""
    sent = Message(topic("telecom", stream, "nb-telecom-a"), payload, now_ms(), content_type)
    good = message("nb-telecom-a", radio(now_ms()))
    receipt = await ingester.store_messages([sent, good])
    assert (receipt.stored, receipt.quarantined) == (1, {reason: 1})
    row = await connection.fetchrow("SELECT * FROM quarantine")
    assert row is not None
    assert (row["payload"], row["content_type"]) == (payload, content_type)
    assert detail in row["detail"]
    assert (await ingester.store_messages([sent])).duplicates == 1
    await counts(connection)


async def test_a_large_pack_of_unknown_devices_is_kept_in_little(
    ingester: Ingester, connection: Connection, database_url: str
) -> None:
    """5,000 times the whole pack would be gigabytes; a replay stores each sample all the same."""
    from ingest.quarantine.replay import Replayer
    from ingest.quarantine.selection import Selection

    t = now_ms() // 1000
    pack = [{"n": f"late-{i}/rsrp_dbm", "bt": t, "v": -90} for i in range(5_000)]
    sent = message("up", json.dumps(pack).encode(), stream="batch")
    receipt = await ingester.store_messages([sent])
    assert receipt.quarantined == {"unknown_device": 5_000}
    kept = await connection.fetchval("SELECT sum(length(payload)) FROM quarantine")
    assert kept < 3 * len(sent.payload)
    await connection.execute(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " SELECT format('late-%s', i), 1, 1, 'sensor', 'registered' FROM generate_series(0, 4999) i"
    )
    replayed = await Replayer(database_url).run(Selection())
    assert (replayed.left, replayed.samples.stored) == (5_000, 5_000)
    assert await connection.fetchval("SELECT count(*) FROM quarantine") == 0
