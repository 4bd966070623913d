"""One batch, one transaction: raw samples, roll-ups, last-seen, quarantine, ledger.

What this module promises:
- when `Writer.write` returns, everything of the batch is committed; when it raises, nothing is;
- a sample that is there already (same device and time) is counted as a duplicate and changes no
  other number, whether it came twice in the batch, was redelivered, or was written by another
  worker a moment ago;
- roll-ups hold exactly the samples that the raw tables received.
"""

from __future__ import annotations

import hashlib
import io
import time
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from ingest import copy
from ingest.batch import Batch, Bools, Checked, Refusal
from ingest.ledger import Ledger, to_datetime
from ingest.reasons import ADVICE
from ingest.receipt import Receipt
from ingest.rollup import Rollup, by_hour, by_minute
from ingest.statements import (
    INSERT_QUARANTINE,
    MERGE_LEDGER,
    MERGE_SEEN,
    create_stages,
    insert_new,
    merge_rollup,
    sample_columns,
    stage_of,
    unique_key,
)
from shudao.streams import STREAMS, Stream


class Writer:
    """Writes batches through one connection, which it does not own."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._prepared = False

    async def write(self, batch: Batch, origin: str) -> Receipt:
        """Commit a batch, of one `Checked` a stream at most, and tell what became of it.

        Raises asyncpg's errors.
        """
        if len({c.stream.name for c in batch.checked}) < len(batch.checked):
            raise ValueError("a batch holds each stream once")
        if not self._prepared:
            await self._connection.execute(create_stages(STREAMS.values()))
            self._prepared = True
        receipt, ledger = Receipt(received=batch.received), Ledger()
        async with self._connection.transaction():
            # In one order, so that writers rarely wait for each other in a circle; when they do,
            # PostgreSQL ends one of them, and that one tries again.
            written = [
                (checked, await self._write_samples(checked))
                for checked in sorted(batch.checked, key=lambda c: c.stream.name)
                if len(checked.rows)
            ]
            await self._merge_seen([checked.take(stored) for checked, stored in written])
            if batch.refusals:
                await self._write_refusals(batch.refusals, origin, ledger, receipt)
            now_ms = time.time_ns() // 1_000_000
            for checked, stored in written:
                ledger.count_samples(checked, stored, now_ms)
                receipt.stored += int(stored.sum())
                receipt.duplicates += int((~stored).sum())
            await self._connection.executemany(MERGE_LEDGER, ledger.rows(origin))
        return receipt

    async def _write_samples(self, checked: Checked) -> Bools:
        """Raw rows and their roll-ups; returns which samples were not there yet."""
        stored: Bools = np.zeros(len(checked.rows), np.bool_)
        first = first_of_each(checked)
        stored[first[await self._insert_raw(checked.take(first))]] = True
        new = checked.take(stored)
        if len(new.rows) and checked.stream.name != "reading":
            await self._merge("coverage_minute", new.stream, by_minute(new))
            await self._merge("coverage_hour", new.stream, by_hour(new))
        return stored

    async def _insert_raw(self, checked: Checked) -> NDArray[np.integer[Any]]:
        """Positions of the samples that were not there yet, and are now."""
        stream = checked.stream
        columns = _raw_columns(checked)
        try:
            async with self._connection.transaction():  # a savepoint
                await self._copy(stream.table, columns)
            return np.arange(len(checked.rows))
        except asyncpg.UniqueViolationError:
            row = copy.integers("row", np.arange(len(checked.rows)), "i4")
            await self._copy(stage_of(stream.table, stream), [*columns, row])
            new = await self._connection.fetch(insert_new(stream))
            return np.sort(np.array([r[0] for r in new], np.int64))

    async def _merge(self, table: str, stream: Stream, rollup: Rollup) -> None:
        await self._copy(stage_of(table, stream), _rollup_columns(rollup))
        await self._connection.execute(merge_rollup(table, stream, rollup.measures))

    async def _merge_seen(self, new: list[Checked]) -> None:
        if not any(len(c.rows) for c in new):
            return
        device, at = (np.concatenate([c.rows[k] for c in new]) for k in ("device_id", "time_ms"))
        order = np.lexsort((at, device))
        ids, starts, counts = np.unique(device[order], return_index=True, return_counts=True)
        newest = at[order][starts + counts - 1]
        arrived = np.concatenate([c.received_ms for c in new])[order]
        received = np.maximum.reduceat(arrived, starts)
        await self._connection.execute(
            MERGE_SEEN,
            ids.tolist(),
            [to_datetime(t) for t in newest.tolist()],
            [to_datetime(t) for t in received.tolist()],
            counts.tolist(),
        )

    async def _write_refusals(
        self, refusals: list[Refusal], origin: str, ledger: Ledger, receipt: Receipt
    ) -> None:
        new = await self._connection.fetch(
            INSERT_QUARANTINE,
            [_digest(r) for r in refusals],
            [to_datetime(r.received_ms) for r in refusals],
            [_text(r.topic) for r in refusals],
            [r.carrier_id for r in refusals],
            [_text(r.stream) for r in refusals],
            [_text(r.device) for r in refusals],
            [r.reason.value for r in refusals],
            [_text(f"{r.detail} → {ADVICE[r.reason]}") for r in refusals],
            [r.payload for r in refusals],
            origin,
        )
        kept = {r["row"] for r in new}
        for row, refusal in enumerate(refusals):
            ledger.count_refusal(refusal, known=row not in kept)
            if row in kept:
                receipt.quarantined[refusal.reason.value] += 1
            else:
                receipt.duplicates += 1

    async def _copy(self, table: str, columns: list[copy.Column]) -> None:
        await self._connection.copy_to_table(
            table,
            source=io.BytesIO(copy.encode(columns)),
            columns=[c.name for c in columns],
            format="binary",
        )


def first_of_each(checked: Checked) -> NDArray[np.intp]:
    """Positions of the first sample of each key, in key order."""
    keys = [checked.rows["time_ms" if k == "time" else k] for k in unique_key(checked.stream)]
    order = np.lexsort(keys[::-1])  # stable: of equal keys the first to arrive stays first
    new: Bools = np.zeros(len(order), np.bool_)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    return order[new]


def _raw_columns(checked: Checked) -> list[copy.Column]:
    rows, stream = checked.rows, checked.stream
    columns = [copy.times("time", rows["time_ms"])]
    for name in sample_columns(stream)[1:]:
        kind = str(rows.dtype[name].str[1:])
        make = copy.integers if kind.startswith("i") else copy.floats
        columns.append(make(name, rows[name], kind))
    return columns


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


def _digest(refusal: Refusal) -> bytes:
    """What makes a refused sample the same one when it is delivered again."""
    head = f"{refusal.topic}\0{refusal.item}\0".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(head + refusal.payload, digest_size=16).digest()


def _text(value: str) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates."""
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
