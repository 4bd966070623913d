"""Roll up what waits in the journal: read, aggregate, add to the roll-ups, delete; all or nothing.

One process at a time does it, whoever takes the lock; the others' samples wait in the journal and
are taken by the next one. What it costs grows with the number of rows that are touched, so a
merge that took long is followed by a longer pause: the more samples arrive, the more of them
share a row's update.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import numpy as np

from ingest import copy, journal
from ingest.batch import Rows
from ingest.rollup import Rollup, by_hour, by_minute
from ingest.statements import CREATE_ROLLUP_STAGES, MERGE_SEEN, merge_rollup, stage_of
from shudao.streams import STREAMS, StreamName

SAMPLES_AT_ONCE = 1_000_000
"""What one transaction takes: bounds its memory (some 400 bytes a sample) and its length."""
_LOCK = 0x5348_5544  # "SHUD": an advisory lock of the database
_PAUSE_S, _SHARE = 1.0, 0.1
"""The least pause between two merges, and the share of the time that they may take."""


def pause_after(seconds: float) -> float:
    """How long to leave the database alone after a merge that took ``seconds``."""
    return max(_PAUSE_S, seconds * (1 / _SHARE - 1))


class _Prepared(NamedTuple):
    """Everything that one merge adds: COPY's bytes by staging table, and the statement to run."""

    table: str
    columns: list[str]
    data: bytes
    statement: str


class Merger:
    """Rolls up through one connection, which it does not own."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._prepared = False

    async def merge(self, *, wait: bool = False) -> int | None:
        """Roll up the oldest samples that wait; how many they were.

        None if somebody else is at it just now; with ``wait``, wait for him. Raises asyncpg's
        errors, and ValueError for an entry that this program cannot read.
        """
        if not self._prepared:
            await self._connection.execute(CREATE_ROLLUP_STAGES)
            self._prepared = True
        async with self._connection.transaction():
            if wait:
                await self._connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            elif not await self._connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return None
            entries = await self._connection.fetch(journal.TAKE, SAMPLES_AT_ONCE)
            if not entries:
                return 0
            # In a thread: numpy lets the event loop run, which keeps the broker's connection alive.
            taken, prepared = await asyncio.to_thread(_prepare, entries)
            for part in prepared:
                await self._connection.copy_to_table(
                    part.table, source=io.BytesIO(part.data), columns=part.columns, format="binary"
                )
                await self._connection.execute(part.statement)
            await self._connection.execute(journal.DROP, [e["journal_id"] for e in entries])
        return taken

    async def merge_all(self) -> int:
        """Roll up until nothing waits that was there at the start; how many samples they were."""
        total = 0
        while taken := await self.merge(wait=True):
            total += taken
        return total


def _prepare(entries: Sequence[asyncpg.Record]) -> tuple[int, list[_Prepared]]:
    """All that a merge computes: number of samples, and what to copy and to run, in order."""
    streams: dict[StreamName, Rows] = {}
    for name in STREAMS:
        streams[name] = journal.unpack(name, [e["rows"] for e in entries if e["stream"] == name])
    parts = []
    for name, rows in streams.items():
        if name == "reading" or not len(rows):
            continue
        parts.append(_rollup_part("coverage_minute", name, by_minute(name, rows)))
        parts.append(_rollup_part("coverage_hour", name, by_hour(name, rows)))
    parts.append(_seen_part(streams))
    return sum(map(len, streams.values())), parts


def _rollup_part(table: str, name: StreamName, rollup: Rollup) -> _Prepared:
    # A measure that no sample has changes nothing.
    columns = [c for c in _rollup_columns(rollup) if c.nulls is None or not c.nulls.all()]
    names = [c.name for c in columns]
    stream = STREAMS[name]
    statement = merge_rollup(table, stream, [n for n in names if n in rollup.measures])
    return _Prepared(stage_of(table, stream), names, copy.encode(columns), statement)


def _seen_part(streams: dict[StreamName, Rows]) -> _Prepared:
    keys = ["device_id", "time_ms", "received_ms"]
    rows = np.concatenate([rows[keys].astype(_SEEN) for rows in streams.values()])
    device, newest, arrived, counts = journal.newest_by_device(rows)
    columns = [
        copy.integers("device_id", device, "i4"),
        copy.times("last_time", newest),
        copy.times("last_received", arrived),
        copy.integers("samples", counts, "i8"),
    ]
    return _Prepared("stage_seen", [c.name for c in columns], copy.encode(columns), MERGE_SEEN)


_SEEN = np.dtype([("device_id", "<i4"), ("time_ms", "<i8"), ("received_ms", "<i8")])


def _rollup_columns(rollup: Rollup) -> list[copy.Column]:
    columns = []
    for name, key in rollup.keys.items():
        if name in ("minute", "hour"):
            columns.append(copy.times(name, key))
        else:
            columns.append(
                copy.integers(name, key, "i4" if name in ("county", "place_id") else "i2")
            )
    for name, values in rollup.measures.items():
        if values.dtype.kind == "f":
            columns.append(copy.floats(name, values, "f4"))
        else:
            columns.append(copy.signed(name, values, "i8" if name.endswith("_x100") else "i4"))
    return columns
