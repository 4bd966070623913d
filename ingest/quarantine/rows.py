"""Read, count and delete rows of quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ingest.quarantine.selection import Selection

_COLUMNS = (
    "quarantine_id, received, last_received, times, origin, topic, coalesce(carrier_id, 0),"
    " coalesce(stream, ''), coalesce(device, ''), reason, detail, content_type,"
    " octet_length(payload)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row, without its payload."""

    id: int
    received: datetime
    """When it first came."""
    last_received: datetime
    times: int
    origin: str
    topic: str
    carrier_id: int
    """0: the topic names none."""
    stream: str
    device: str
    reason: str
    detail: str
    """What is wrong, and after the arrow what the sender should do."""
    content_type: str
    bytes: int
    """Length of the payload."""


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of one carrier and reason."""

    carrier_id: int
    reason: str
    rows: int
    times: int
    """How often they came, redeliveries included."""
    newest: datetime


async def newest(
    connection: asyncpg.Connection[Any], selection: Selection, limit: int
) -> list[Row]:
    """At most ``limit`` rows, newest first."""
    where, parameters = selection.sql(limit)
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM quarantine WHERE {where}"
        " ORDER BY last_received DESC, quarantine_id DESC LIMIT $1",
        *parameters,
    )
    return [Row(*record) for record in found]


async def counts(connection: asyncpg.Connection[Any], selection: Selection) -> list[Count]:
    """Rows by carrier and reason, most first."""
    where, parameters = selection.sql()
    found = await connection.fetch(
        "SELECT coalesce(carrier_id, 0), reason, count(*), sum(times)::bigint, max(last_received)"
        f" FROM quarantine WHERE {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        *parameters,
    )
    return [Count(*r) for r in found]


async def find(connection: asyncpg.Connection[Any], quarantine_id: int) -> tuple[Row, bytes] | None:
    """One row and its payload."""
    record = await connection.fetchrow(
        f"SELECT {_COLUMNS}, payload FROM quarantine WHERE quarantine_id = $1", quarantine_id
    )
    if record is None:
        return None
    *columns, payload = tuple(record)
    return Row(*columns), payload


async def last_id(connection: asyncpg.Connection[Any]) -> int:
    """The newest row's id, 0 where there is none: bounds work that new rows must not join."""
    found = await connection.fetchval("SELECT coalesce(max(quarantine_id), 0) FROM quarantine")
    return int(found)


async def count_up_to(connection: asyncpg.Connection[Any], selection: Selection, last: int) -> int:
    """How many rows there are up to the id ``last``."""
    where, parameters = selection.sql(last)
    found = await connection.fetchval(
        f"SELECT count(*) FROM quarantine WHERE quarantine_id <= $1 AND {where}", *parameters
    )
    return int(found)


async def purge_up_to(connection: asyncpg.Connection[Any], selection: Selection, last: int) -> int:
    """Delete rows up to the id ``last``; how many they were."""
    where, parameters = selection.sql(last)
    status = await connection.execute(
        f"DELETE FROM quarantine WHERE quarantine_id <= $1 AND {where}", *parameters
    )
    return int(status.split()[-1])
