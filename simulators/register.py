"""Make a simulated population known to the database, so that its samples are accepted.

Guarantees: running it again changes nothing and is quick; a second simulator at the same time
waits for the first; what others registered under the same name is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import numpy as np

from shudao.errors import ShudaoError
from shudao.vocabulary import UNPLACED
from simulators.devices import KIND, Population, Role
from simulators.places import Places
from simulators.traffic import Traffic

log = logging.getLogger(__name__)

CHUNK = 10_000
"""Devices that are registered at once, and how far registration stays ahead."""

POLL_S, RETRY_S = 0.1, 2.0

_LOCK = 0x5348_5544_414F_02
"""Advisory lock of a registration; the letters SHUDAO."""

_STAGE = """
CREATE TEMP TABLE stage_device ON COMMIT DROP AS
SELECT name, carrier_id, place_id, technology_id, kind, interval_s, source FROM device WITH NO DATA
"""

_MERGE = """
INSERT INTO device (name, carrier_id, place_id, technology_id, kind, interval_s, source)
SELECT * FROM stage_device
ON CONFLICT (name) DO UPDATE SET place_id = excluded.place_id
WHERE device.source = 'simulated' AND device.place_id <> excluded.place_id
"""


async def register_devices(
    connection: asyncpg.Connection[Any], places: Places, reporters: Population
) -> int:
    """Register the devices of reporters; returns how many were new or had moved."""
    wanted = _rows(places, reporters)
    found = await connection.fetch(
        "SELECT name, place_id FROM device WHERE name = ANY($1::text[])", [row[0] for row in wanted]
    )
    there = {(name, place) for name, place in found}
    missing = [row for row in wanted if (row[0], row[2]) not in there]
    if not missing:
        return 0
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_STAGE)
        await connection.copy_records_to_table("stage_device", records=missing)
        done = await connection.execute(_MERGE)
    return int(done.rpartition(" ")[2])


def _rows(places: Places, reporters: Population) -> list[tuple[Any, ...]]:
    """Rows of the table ``device``, one for each device. Raises `ShudaoError` without stations."""
    _, first = np.unique(reporters.device, return_index=True)
    role, place = reporters.role[first], reporters.place[first]
    place_id = np.select(
        [role == Role.DRIVE, role == Role.STATION],
        [UNPLACED, places.station_id[place]],
        places.place_id[place],
    )
    if not place_id[role == Role.STATION].all():
        raise ShudaoError("a village has no information station", "register the stations first")
    columns = zip(
        first.tolist(),
        role.tolist(),
        place_id.tolist(),
        reporters.carrier[first].tolist(),
        reporters.technology[first].tolist(),
        reporters.interval_s[first].tolist(),
        strict=True,
    )
    return [
        (reporters.name(i), carrier + 1, where, technology, KIND[Role(r)], interval_s, "simulated")
        for i, r, where, carrier, technology, interval_s in columns
    ]


class Registrar:
    """Registers devices shortly before their first report, so that a start takes no time.

    Guarantees: `Traffic.ready` never counts a device that the database does not have; when the
    database is away, devices that are registered go on reporting and the others wait.
    """

    def __init__(self, traffic: Traffic, places: Places, reporters: Population) -> None:
        self._traffic, self._places, self._reporters = traffic, places, reporters
        traffic.ready = 0

    async def some(self, connection: asyncpg.Connection[Any]) -> None:
        """Register the next `CHUNK` reporters."""
        end = min(self._traffic.ready + CHUNK, len(self._reporters))
        part = self._reporters.part(self._traffic.ready, end)
        await register_devices(connection, self._places, part)
        self._traffic.ready = end

    async def run(self, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]]) -> None:
        """Stay a chunk ahead of the reports, for ever: meant to run beside a fleet."""
        while True:
            try:
                connection = await connect()
                try:
                    await self._stay_ahead(connection)
                finally:
                    connection.terminate()
            except (ShudaoError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("new devices wait for the database: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _stay_ahead(self, connection: asyncpg.Connection[Any]) -> None:
        while True:
            everyone = self._traffic.ready == len(self._reporters)
            if not everyone and self._traffic.next + CHUNK > self._traffic.ready:
                await self.some(connection)
            else:
                await asyncio.sleep(POLL_S)
