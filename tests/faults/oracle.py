"""The oracle: what the database must hold after all that, to the unit.

- every message that the broker accepted is stored exactly once, with its values; nothing is stored
  that was not published;
- every poison is in quarantine exactly once, for its reason, its good neighbours are stored;
- coverage_minute and coverage_hour equal a recomputation from raw, in every column;
- last-seen and the ledger agree with the raw tables; the journal is empty.

It reads one snapshot, so it may be asked at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np

from shudao.streams import BROADBAND, RADIO, READING, STREAMS, Stream
from shudao.vocabulary import TECHNOLOGY_IDS
from tests.faults import recompute
from tests.faults.envelope import Refused
from tests.faults.numbered import OFFSET_MS, OFFSETS, sample
from tests.faults.publisher import Book

KEYS = "time, device_id, place_id, carrier_id, technology_id"


async def complaints(connection: asyncpg.Connection[Any], book: Book, base_ms: int) -> list[str]:
    """Everything that is wrong, in words; empty when all is well.

    Within a transaction of the caller's if there is one, else in one snapshot of its own.
    """
    if not connection.is_in_transaction():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await complaints(connection, book, base_ms)
    return [
        *await _samples(connection, book, base_ms),
        *await _quarantine(connection, book),
        *await _rollups(connection),
        *await _ledger(connection, book),
        *await _seen(connection),
        *await _journal(connection),
    ]


async def _samples(connection: asyncpg.Connection[Any], book: Book, base_ms: int) -> list[str]:
    wrong: list[str] = []
    stored: Counter[int] = Counter()
    devices = {r["device_id"]: r for r in await connection.fetch("SELECT * FROM device")}
    metrics = dict(await connection.fetch("SELECT metric_id, name FROM metric"))
    for stream in (RADIO, BROADBAND, READING):
        fields = [f.name for f in stream.fields]
        for row in await connection.fetch(
            f"SELECT {KEYS}, {', '.join(fields)} FROM {stream.table}"
        ):
            device = devices[row["device_id"]]
            number = _number(row["time"], base_ms)
            stored[number] += 1
            want = _expected_row(number, base_ms, stream, device, metrics)
            if want != (got := [*tuple(row)[2:]]):
                wrong.append(f"{number}: {got} and not {want}")
    accepted = book.accepted_numbers.keys()
    return [
        *_some("accepted and not stored", accepted - stored.keys()),
        *_some("stored and never published", stored.keys() - book.published_numbers),
        *_some("stored more than once", (n for n, times in stored.items() if times > 1)),
        *_some("stored with other values", wrong),
    ]


def _number(time: datetime, base_ms: int) -> int:
    """The number of the sample with that time."""
    after = (time - datetime.fromtimestamp(0, UTC)) // _MILLISECOND - base_ms
    for offset in range(OFFSETS):
        number = after + offset * OFFSET_MS
        if 0 <= number < OFFSET_MS and number % OFFSETS == offset:
            return number
    return -1


_MILLISECOND = datetime.resolution * 1000


def _expected_row(
    number: int, base_ms: int, stream: Stream, device: asyncpg.Record, metrics: dict[int, str]
) -> list[Any]:
    """Place, carrier, technology and fields of the sample, as the table must hold them.

    Of another stream or device than this row's it is empty: the row is wrong altogether.
    """
    if number < 0:
        return []
    made = sample(number, base_ms)
    if (made.stream, made.device) != (stream.name, device["name"]):
        return []
    fields = dict(made.fields)
    technology = TECHNOLOGY_IDS.get(fields.get("technology", ""), device["technology_id"])
    if stream.name == "reading":
        [fields["metric_id"]] = (i for i, name in metrics.items() if name == fields["metric"])
    values = [_as_stored(fields.get(f.name), f.dtype) for f in stream.fields]
    return [device["place_id"], device["carrier_id"], technology, *values]


def _as_stored(value: Any, dtype: str) -> Any:
    return float(np.float32(value)) if value is not None and dtype == "f4" else value


async def _quarantine(connection: asyncpg.Connection[Any], book: Book) -> list[str]:
    rows = await connection.fetch(
        "SELECT topic, md5(payload) AS md5, reason, times FROM quarantine"
    )
    kept = Counter(Refused(r["topic"], r["md5"], r["reason"]) for r in rows)
    times = {Refused(r["topic"], r["md5"], r["reason"]): r["times"] for r in rows}
    accepted = book.accepted_refusals
    return [
        *_some("poison not in quarantine", accepted.keys() - kept.keys()),
        *_some("in quarantine and never published so", kept.keys() - book.published_refusals),
        *_some("in quarantine more than once", (r for r, n in kept.items() if n > 1)),
        *_some(
            "came more often than quarantine counts",
            (r for r, n in accepted.items() if times.get(r, n) < n),
        ),
    ]


async def _rollups(connection: asyncpg.Connection[Any]) -> list[str]:
    out = []
    for table in recompute.TABLES:
        out += _some(
            f"columns of {table} that nobody checks",
            await recompute.unknown_columns(connection, table),
        )
        wanted = await recompute.expected(connection, table)
        got = await recompute.found(connection, table)
        out += _some(f"{table} differs from raw", recompute.differences(wanted, got))
    return out


async def _ledger(connection: asyncpg.Connection[Any], book: Book) -> list[str]:
    rows = await connection.fetch(
        "SELECT carrier_id, stream, sum(received)::bigint AS received, sum(stored)::bigint AS"
        " stored, sum(duplicates)::bigint AS duplicates, sum(quarantined)::bigint AS quarantined"
        " FROM ingest_minute GROUP BY 1, 2"
    )
    stored = {(r["stream"], r["carrier_id"]): r["stored"] for r in rows if r["stored"]}
    raw = {
        (name, r["carrier_id"]): r["n"]
        for name, stream in STREAMS.items()
        for r in await connection.fetch(
            f"SELECT carrier_id, count(*) AS n FROM {stream.table} GROUP BY 1"
        )
    }
    out = [
        f"ledger: {key} stored {stored.get(key, 0)}, raw has {raw.get(key, 0)}"
        for key in stored.keys() | raw.keys()
        if stored.get(key) != raw.get(key)
    ]
    for r in rows:
        if r["received"] != r["stored"] + r["duplicates"] + r["quarantined"]:
            out.append(f"ledger does not add up: {dict(r)}")
    quarantined = await connection.fetchval("SELECT count(*) FROM quarantine")
    if quarantined != (counted := sum(r["quarantined"] for r in rows)):
        out.append(f"ledger quarantined {counted}, quarantine has {quarantined}")
    accepted = book.accepted_numbers.total() + book.accepted_refusals.total()
    if accepted > (received := sum(r["received"] for r in rows)):
        out.append(f"ledger received {received}, the broker accepted {accepted}")
    return out


async def _seen(connection: asyncpg.Connection[Any]) -> list[str]:
    union = " UNION ALL ".join(f"SELECT device_id, time FROM {s.table}" for s in STREAMS.values())
    rows = await connection.fetch(
        f"SELECT device_id, count, samples, max, last_time FROM (SELECT device_id, count(*),"
        f" max(time) FROM ({union}) AS raw GROUP BY device_id) AS r"
        " FULL JOIN device_seen USING (device_id)"
        " WHERE (count, max) IS DISTINCT FROM (samples, last_time)"
    )
    return _some("last-seen differs from raw", (str(dict(r)) for r in rows))


async def _journal(connection: asyncpg.Connection[Any]) -> list[str]:
    waiting = await connection.fetchval("SELECT count(*) FROM rollup_journal")
    return [f"{waiting} batches of the journal were never rolled up"] if waiting else []


def _some(what: str, found: Iterable[Any]) -> list[str]:
    """How many there are of a complaint, and the first ten of them."""
    every = sorted(found, key=str) if not isinstance(found, list) else found
    every = sorted(every) if every and isinstance(every[0], int) else every
    if not every:
        return []
    return [f"{what}: {len(every)}, the first: {'; '.join(map(str, every[:10]))}"]
