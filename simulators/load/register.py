"""The devices and places of a run in the database, and their removal.

A run has places of its own, so that its roll-ups have as many rows as those of the whole province
and are as much work; they belong to a vintage of their own, so that no goal counts them and they
can be removed with everything that was rolled up at them. In the ledger of arrivals it stays.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from shudao.errors import ShudaoError
from shudao.vocabulary import Carrier, Technology
from simulators.load.frames import DEVICE_DIGITS
from simulators.load.plan import Plan

_PLACES = 53_578
"""Villages and communities of the province in 2018; at each a device of each carrier, in turn."""
_COUNTIES = 183
_VINTAGE = "1970-01-01"

_LOCK = "LOCK TABLE place, device IN SHARE ROW EXCLUSIVE MODE"
"""Nobody else inserts meanwhile, so ids are consecutive: samples of a run are found by a range."""

_ADD_PLACES = f"""
WITH new AS (
    INSERT INTO place (kind, vintage, division, county, code, name, coord_source, source)
    SELECT 'site', '{_VINTAGE}', 'load', $1 * 1000 + i % {_COUNTIES}, 'load-' || $1 || '-' || i,
           'load', 'synthetic', 'load'
    FROM generate_series(0, $2::integer - 1) i ORDER BY i RETURNING place_id)
SELECT min(place_id) FROM new
"""

_ADD_DEVICES = f"""
WITH new AS (
    INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)
    SELECT $1 || lpad(i::text, {DEVICE_DIGITS}, '0'), i % $2 % {len(Carrier)} + 1,
           $3 + i / {len(Carrier)} % $4, {Technology.NBIOT:d}, 'sensor', 'load'
    FROM generate_series(0, $5::integer - 1) i ORDER BY i RETURNING device_id)
SELECT min(device_id), now() FROM new
"""

_REMOVE = [
    "DELETE FROM radio_sample s USING device d WHERE s.device_id = d.device_id AND {devices}"
    " AND s.time >= (SELECT min(registered_at) FROM device d WHERE {devices}) - INTERVAL '1 hour'",
    "DELETE FROM device_seen s USING device d WHERE s.device_id = d.device_id AND {devices}",
    "DELETE FROM coverage_hour WHERE place_id IN (SELECT place_id FROM place WHERE {places})",
    "DELETE FROM coverage_minute WHERE county IN (SELECT county FROM place WHERE {places})",
    "DELETE FROM device d WHERE {devices}",
    "DELETE FROM place WHERE {places}",
]


class Registered(NamedTuple):
    """Where a run's samples are found: device n has the id ``first_id`` + n."""

    first_id: int
    last_id: int
    since: datetime
    """Of the database's clock."""


async def register(connection: asyncpg.Connection[Any], plan: Plan) -> Registered:
    """Add a plan's places and devices. Inserts of others wait meanwhile, some 10 s a million.

    Raises `ShudaoError` when the database has no schema.
    """
    places = min(-(-plan.devices // len(Carrier)), _PLACES)
    async with connection.transaction():
        try:
            await connection.execute(_LOCK)
        except asyncpg.UndefinedTableError as error:
            raise ShudaoError(
                "the database has no tables yet", "run `shudao db migrate`"
            ) from error
        first_place = await connection.fetchval(_ADD_PLACES, plan.run, places)
        row = await connection.fetchrow(
            _ADD_DEVICES, plan.device_prefix, plan.connections, first_place, places, plan.devices
        )
    assert row is not None, "an aggregate has a row"
    first_id, since = row
    return Registered(first_id, first_id + plan.devices - 1, since)


async def remove(connection: asyncpg.Connection[Any], run: int | None = None) -> int:
    """Delete all of a run, or of all runs; returns how many devices that were."""
    devices, places = "d.source = 'load'", "source = 'load'"
    if run is not None:
        devices += f" AND d.name LIKE 'load-{run}-%'"
        places += f" AND code LIKE 'load-{run}-%'"
    async with connection.transaction():
        done = [
            await connection.execute(statement.format(devices=devices, places=places))
            for statement in _REMOVE
        ]
    return int(done[-2].rpartition(" ")[2])
