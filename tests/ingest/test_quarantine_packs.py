"""Replay of messages that are kept whole, since their format cannot be cut into samples."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import asyncpg
import cbor2
import pytest

from ingest.batch import Message
from ingest.ingester import Ingester
from ingest.quarantine.replay import Replayed, Replayer
from ingest.quarantine.selection import Selection
from tests.ingest.conftest import now_ms, radio

pytestmark = pytest.mark.usefixtures("devices")
Connection: TypeAlias = "asyncpg.Connection[Any]"
SENML_LABELS = {"n": 0, "bt": -3, "v": 2, "u": 1}


def senml(t: int) -> list[dict[str, Any]]:
    """Three devices, a sample each, of which the first is registered."""
    return [
        {"n": "nb-telecom-a/rsrp_dbm", "bt": t // 1000, "u": "dBm", "v": -95},
        {"n": "late-1/rsrp_dbm", "u": "dBm", "v": -96},
        {"n": "late-2/rsrp_dbm", "u": "dBm", "v": -97},
    ]


def as_senml_json(t: int) -> tuple[bytes, str]:
    return json.dumps(senml(t)).encode(), ""


def as_senml_cbor(t: int) -> tuple[bytes, str]:
    pack = [{SENML_LABELS[k]: v for k, v in record.items()} for record in senml(t)]
    return cbor2.dumps(pack), "application/senml+cbor"


def as_ndjson(t: int) -> tuple[bytes, str]:
    names = ("nb-telecom-a", "late-1", "late-2")
    lines = [{"stream": "radio", "device": name, **radio(t)} for name in names]
    return b"\n".join(json.dumps(line).encode() for line in lines), "application/x-ndjson"


async def quarantine(connection: Connection) -> dict[str, dict[str, Any]]:
    """Rows by device."""
    return {r["device"]: dict(r) for r in await connection.fetch("SELECT * FROM quarantine")}


@pytest.mark.parametrize("form", [as_senml_json, as_senml_cbor, as_ndjson])
async def test_each_sample_of_a_pack_leaves_by_itself(
    ingester: Ingester, connection: Connection, database_url: str, form: Any
) -> None:
    """Its rows hold the same bytes; only the one whose device is registered leaves."""
    payload, content_type = form(now_ms())
    pack = Message("shudao/v1/telecom/batch/up", payload, now_ms(), content_type)
    receipt = await ingester.store_messages([pack])
    assert (receipt.stored, receipt.quarantined) == (1, {"unknown_device": 2})
    before = await quarantine(connection)
    assert before.keys() == {"late-1", "late-2"}
    assert {bytes(row["payload"]) for row in before.values()} == {payload}

    async def replay() -> Replayed:
        return await Replayer(database_url).run(Selection())

    assert (await replay()).refused == {"unknown_device": 2}
    assert await quarantine(connection) == before
    await _register(connection, "late-2")
    replayed = await replay()
    assert (replayed.left, replayed.samples.stored) == (1, 1)
    assert await quarantine(connection) == {"late-1": before["late-1"]}
    await _register(connection, "late-1")
    assert (await replay()).left == 1
    assert await quarantine(connection) == {}
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 3


async def _register(connection: Connection, name: str) -> None:
    await connection.execute(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ($1, 1, 1, 'sensor', 'registered')",
        name,
    )
