"""Roll up what waits in the journal: read, aggregate, add, mark or delete; all or nothing.

Minutes (county × carrier × technology) are few rows and what operators watch, so they follow at
once. Hours (place × carrier × technology) and last-seen touch up to a row a sample, and goals ask
for days of them: a merge of hours that took long is followed by a long pause, so the more samples
arrive, the more of them share a row's update.

One process at a time does it, whoever takes the lock; the others' samples wait in the journal and
are taken by the next merge.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from numpy.typing import NDArray

from ingest import copy, journal
from ingest.batch import Ints, Rows
from ingest.rollup import MINUTE_MS, Rollup, by_hour, by_minute
from ingest.statements import CREATE_ROLLUP_STAGES, MERGE_SEEN, merge_rollup, stage_of
from shudao.streams import STREAMS, StreamName

SAMPLES_AT_ONCE = 3_000_000
"""What one transaction takes: bounds its length, and its memory (some 70 bytes a sample)."""
CHUNK_ROWS = 20_000
"""What is rolled up and encoded at once: up to a kilobyte a row."""
_CODES = 1_000_000  # counties have six digits
MINUTES_DAYS = 30
"""Of samples that are older only hours are kept: minutes are what operators watch live, and of what
comes so late there would be as many as samples."""
PAUSE_S = 1.0
"""Between two merges of minutes; the least between two of hours."""
_HOURS_SHARE = 0.15
"""Of the time, at most, for hours."""
_READ_AT_ONCE = 10  # entries: some 10 MB
_NO_END = 2**63 - 1
_LOCK = 0x5348_5544  # "SHUD": an advisory lock of the database


def pause_after_hours(samples: int | None, seconds: float) -> float:
    """How long to leave the database alone after a merge of hours.

    Not long where more wait than it could take: then it must keep up, whatever its share is.
    """
    if samples and samples >= SAMPLES_AT_ONCE:
        return PAUSE_S
    return max(PAUSE_S, seconds * (1 / _HOURS_SHARE - 1))


class _Part(NamedTuple):
    """Some of what a merge adds: COPY's bytes, and what to run when its table's last are there."""

    table: str
    columns: list[str]
    data: memoryview
    statement: str


class Merger:
    """Rolls up through one connection, which it does not own."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._prepared = False

    async def merge_minutes(self, *, wait: bool = False, until: int = _NO_END) -> int | None:
        """Add the oldest samples that wait to the minutes; how many they were.

        Only entries up to ``until``. None if somebody else is at it just now; with ``wait``, wait
        for him. Raises asyncpg's errors, and ValueError for an entry that this program cannot read.
        """
        return await self._merge(
            journal.TAKE_FOR_MINUTES, _minutes, journal.MARK, wait=wait, until=until
        )

    async def merge_hours(self, *, wait: bool = False, until: int = _NO_END) -> int | None:
        """Add the oldest samples that are in the minutes to the hours and last-seen.

        Returns and raises as `merge_minutes` does.
        """
        return await self._merge(
            journal.TAKE_FOR_HOURS, _hours, journal.DROP, wait=wait, until=until
        )

    async def merge_all(self) -> int:
        """Bring both up to date with all that is stored now; how many samples reached the hours.

        What arrives meanwhile is left to the next merge, so this ends however busy it is.
        """
        newest = await self._connection.fetchval(journal.NEWEST) or 0
        while await self.merge_minutes(wait=True, until=newest):
            pass
        total = 0
        while taken := await self.merge_hours(wait=True, until=newest):
            total += taken
        return total

    async def _merge(
        self,
        take: str,
        prepare: Callable[[_Streams], Iterator[_Part]],
        done: str,
        *,
        wait: bool,
        until: int,
    ) -> int | None:
        if not self._prepared:
            await self._connection.execute(CREATE_ROLLUP_STAGES)
            self._prepared = True
        async with self._connection.transaction():
            if wait:
                await self._connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            elif not await self._connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return None
            entries = await self._connection.fetch(take, SAMPLES_AT_ONCE, until)
            if not entries:
                return 0
            ids = [e["journal_id"] for e in entries]
            streams = await self._read(entries)
            parts = prepare(streams)
            # In a thread: numpy lets the event loop run, which keeps the broker's connection alive.
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                await self._add(part)
            await self._connection.execute(done, ids)
        return sum(map(len, streams.values()))

    async def _read(self, entries: Sequence[asyncpg.Record]) -> _Streams:
        """The rows of the entries (journal_id, stream, samples), a few at a time."""
        total = Counter[StreamName]()
        for e in entries:
            total[e["stream"]] += e["samples"]
        streams = {n: np.empty(total[n], journal.dtype(s)) for n, s in STREAMS.items()}
        filled = Counter[StreamName]()
        for i in range(0, len(entries), _READ_AT_ONCE):
            ids = [e["journal_id"] for e in entries[i : i + _READ_AT_ONCE]]
            for name, packed in await self._connection.fetch(journal.READ, ids):
                rows = journal.unpack(name, packed)
                streams[name][filled[name] : filled[name] + len(rows)] = rows
                filled[name] += len(rows)
        if filled != total:
            raise ValueError(f"the journal says {dict(total)} samples and holds {dict(filled)}")
        return streams

    async def _add(self, part: _Part) -> None:
        await self._connection.copy_to_table(
            part.table, source=part.data, columns=part.columns, format="binary"
        )
        if part.statement:
            await self._connection.execute(part.statement)


_Streams = dict[StreamName, Rows]


def _minutes(streams: _Streams) -> Iterator[_Part]:
    oldest_ms = time.time_ns() // 1_000_000 - MINUTES_DAYS * 86_400_000
    fresh = {name: rows[rows["time_ms"] >= oldest_ms] for name, rows in streams.items()}
    for name, rows in _rolled_up(fresh):
        key = rows["time_ms"] // MINUTE_MS * _CODES + rows["county"]
        yield from _in_chunks("coverage_minute", name, rows, key, by_minute)


def _hours(streams: _Streams) -> Iterator[_Part]:
    for name, rows in _rolled_up(streams):
        yield from _in_chunks("coverage_hour", name, rows, rows["place_id"], by_hour)
    yield _seen_part(streams)


def _in_chunks(
    table: str,
    name: StreamName,
    rows: Rows,
    key: Ints,
    roll_up: Callable[[StreamName, Rows], Rollup],
) -> Iterator[_Part]:
    """A roll-up in parts: late samples may be as many minutes or hours as samples."""
    chunks = _chunks(key)
    for i, chunk in enumerate(chunks, 1):
        rollup = roll_up(name, rows[chunk])
        yield _rollup_part(table, name, rollup, is_last=i == len(chunks))


def _rolled_up(streams: _Streams) -> Iterator[tuple[StreamName, Rows]]:
    return ((name, rows) for name, rows in streams.items() if name != "reading" and len(rows))


def _chunks(key: Ints) -> list[NDArray[np.intp]]:
    """Positions in chunks that share no key: a group of equal keys is whole in one of them."""
    order = np.argsort(key, kind="stable")
    changes = np.flatnonzero(np.diff(key[order])) + 1
    wanted = np.arange(CHUNK_ROWS, len(key), CHUNK_ROWS)
    found = np.searchsorted(changes, wanted)
    cuts = np.unique(changes[found[found < len(changes)]])
    return np.split(order, cuts)


def _rollup_part(table: str, name: StreamName, rollup: Rollup, *, is_last: bool) -> _Part:
    # A measure that no sample has changes nothing.
    columns = [c for c in _rollup_columns(rollup) if c.nulls is None or not c.nulls.all()]
    stream = STREAMS[name]
    statement = merge_rollup(table, stream, rollup.measures) if is_last else ""
    return _Part(
        stage_of(table, stream), [c.name for c in columns], copy.encode(columns), statement
    )


def _seen_part(streams: _Streams) -> _Part:
    keys = ["device_id", "time_ms", "received_ms"]
    rows = np.concatenate([rows[keys].astype(_SEEN) for rows in streams.values()])
    device, newest, arrived, counts = journal.newest_by_device(rows)
    columns = [
        copy.integers("device_id", device, "i4"),
        copy.times("last_time", newest),
        copy.times("last_received", arrived),
        copy.integers("samples", counts, "i8"),
    ]
    return _Part("stage_seen", [c.name for c in columns], copy.encode(columns), MERGE_SEEN)


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
