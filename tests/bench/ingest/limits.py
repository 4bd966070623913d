"""What the database alone can take: the ingester's own COPY of the same rows, nothing else."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import numpy as np

from ingest import copy
from ingest.batch import Rows
from shudao.streams import ABSENT, RADIO

_BATCH, _MOST_ROWS, _LEAST_ROWS = 20_000, 400_000, 1_000_000
_TABLE = "copy_alone"
_HOUR_MS = 3_600_000


async def copy_alone(connection: asyncpg.Connection[Any]) -> dict[str, float]:
    """Rows a second into a table like radio_sample, in batches of 20,000, a commit each.

    The rows are those that the last phase stored, in their order; again an hour earlier, until
    there are a million. Encoding counts too.
    """
    await connection.execute(
        f"DROP TABLE IF EXISTS {_TABLE};"
        f" CREATE TABLE {_TABLE} (LIKE radio_sample INCLUDING ALL);"
        f" SELECT create_hypertable('{_TABLE}', 'time', create_default_indexes => false,"
        "  chunk_time_interval => (SELECT time_interval FROM timescaledb_information.dimensions"
        "  WHERE hypertable_name = 'radio_sample'))"
    )
    stored = await _stored_rows(connection)
    rounds = -(-_LEAST_ROWS // len(stored)) if len(stored) >= _BATCH else 1
    seconds = 0.0
    for _ in range(rounds):
        seconds += await _copy(connection, stored)
        stored["time_ms"] -= _HOUR_MS
    await connection.execute(f"DROP TABLE {_TABLE}")
    rows = rounds * len(stored)
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_s": round(rows / seconds)}


async def _stored_rows(connection: asyncpg.Connection[Any]) -> Rows:
    """Rows as the ingester holds them in memory."""
    names = list(RADIO.dtype.names or ())[1:]
    records = await connection.fetch(
        f"SELECT (extract(epoch FROM time) * 1000)::bigint, {', '.join(names)}"
        f" FROM radio_sample LIMIT {_MOST_ROWS}"
    )
    rows = np.zeros(len(records), RADIO.dtype)
    for position, name in enumerate(RADIO.dtype.names or ()):
        absent = np.nan if rows.dtype[name].kind == "f" else ABSENT
        rows[name] = [absent if r[position] is None else r[position] for r in records]
    return rows


async def _copy(connection: asyncpg.Connection[Any], rows: Rows) -> float:
    began = time.perf_counter()
    for first in range(0, len(rows), _BATCH):
        part = rows[first : first + _BATCH]
        columns = _columns(part)
        await connection.copy_to_table(
            _TABLE,
            source=copy.encode(columns),
            columns=[c.name for c in columns],
            format="binary",
        )
    return time.perf_counter() - began


def _columns(rows: Rows) -> list[copy.Column]:
    """As the writer makes them: without those in which every sample is absent."""
    columns = [copy.times("time", rows["time_ms"])]
    for name in (RADIO.dtype.names or ())[1:]:
        kind = str(rows.dtype[name].str[1:])
        make = copy.integers if kind.startswith("i") else copy.floats
        columns.append(make(name, rows[name], kind))
    return [c for c in columns if c.nulls is None or not c.nulls.all()]
