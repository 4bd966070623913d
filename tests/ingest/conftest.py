"""Devices to send from, and an ingester on the shared database."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from ingest.batch import Message
from ingest.ingester import Ingester
from shudao.streams import topic

PLACES = ("510104020007", "513425101200")
DEVICES = {"nb-telecom-a": (1, PLACES[0], 1), "nb-mobile-b": (2, PLACES[1], 1)}


@pytest.fixture
async def devices(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    """Two NB-IoT sensors in two villages, an FTTP probe and a drive tester; name → device_id."""
    places = {
        r["code"]: r["place_id"]
        for r in await connection.fetch(
            "SELECT code, place_id FROM place WHERE kind = 'village' AND vintage = '2018-10-31'"
            " AND code = ANY($1::text[])",
            list(PLACES),
        )
    }
    rows = [(n, c, places[p], t, "sensor") for n, (c, p, t) in DEVICES.items()]
    rows.append(("bb-telecom-a", 1, places[PLACES[0]], 10, "probe"))
    rows.append(("drive-telecom", 1, 0, 3, "drive"))
    await connection.executemany(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)"
        " VALUES ($1, $2, $3, $4, $5, 'registered')",
        rows,
    )
    return {
        r["name"]: r["device_id"]
        for r in await connection.fetch("SELECT name, device_id FROM device")
    }


@pytest.fixture
async def ingester(database_url: str, devices: dict[str, int]) -> AsyncIterator[Ingester]:
    """An ingester that knows the devices."""
    made = Ingester(database_url, origin="mqtt")
    yield made
    await made.aclose()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def message(
    device: str, payload: Any, *, stream: str = "radio", carrier: str = "telecom"
) -> Message:
    """A message as a source would deliver it; bytes are sent as they are."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic(carrier, stream, device), raw, now_ms())


def radio(time_ms: int, rsrp_dbm: float = -95.0, **more: Any) -> dict[str, Any]:
    """A radio sample on the wire."""
    return {"time": time_ms, "rsrp_dbm": rsrp_dbm, "sinr_db": 5.0, "ecl": 0, **more}
