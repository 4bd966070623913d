"""A county of the registry in the database, devices in it, and the platform that they report to."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import numpy as np

from ingest.batch import Message as Received
from ingest.ingester import Ingester
from ingest.receipt import Receipt
from simulators.devices import Population, Role, population
from simulators.messages import Message
from simulators.places import make_places
from simulators.register import register_devices
from simulators.world import World, build_world

COUNTY = 510921
"""蓬溪县: some 600 villages in hills."""
SEED = 7
DAY_MS = 86_400_000

_PLACES = """
SELECT place_id, kind, subkind, code, county, lon, lat FROM place
WHERE vintage = '2018-10-31' AND kind = 'village' AND county = $1 ORDER BY code
"""


async def read_county(connection: asyncpg.Connection[Any]) -> World:
    """The world of one county's villages and communities."""
    rows = await connection.fetch(_PLACES, COUNTY)
    return build_world(make_places([tuple(r) for r in rows], {}), SEED)


async def devices(
    connection: asyncpg.Connection[Any], world: World, count: int, *roles: Role
) -> Population:
    """The first devices of these roles, registered."""
    everyone = population(world)
    chosen = everyone.take(np.flatnonzero(np.isin(everyone.role, roles))[:count])
    await register_devices(connection, world.places, chosen)
    return chosen


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def store(ingester: Ingester, messages: list[Message]) -> Receipt:
    """Ingest messages as if they had come over MQTT just now, roll-ups included."""
    received = [Received(m.topic, m.payload, now_ms(), m.content_type) for m in messages]
    receipt = await ingester.store_messages(received)
    await ingester.roll_up()
    return receipt


async def hours(
    connection: asyncpg.Connection[Any], columns: str = "*"
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The hourly roll-up: measures by place, carrier, technology and hour."""
    keys = "place_id, carrier_id, technology_id, hour"
    rows = await connection.fetch(f"SELECT {keys}, {columns} FROM coverage_hour")
    return {tuple(r[:4]): tuple(r[4:]) for r in rows}


async def forget(connection: asyncpg.Connection[Any]) -> None:
    """Delete all samples and what was made of them; devices stay."""
    await connection.execute(
        "TRUNCATE radio_sample, broadband_sample, reading, rollup_journal, coverage_minute,"
        " coverage_hour, ingest_minute, quarantine, place_state, goal_progress, device_seen"
    )
