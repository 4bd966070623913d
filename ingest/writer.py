"""One batch, one transaction: raw samples, their journal entry, quarantine, ledger.

What this module promises:
- when `Writer.write` returns, everything of the batch is committed; when it raises, nothing is;
- a sample that is there already (same device and time) is counted as a duplicate and changes no
  other number, whether it came twice in the batch, was redelivered, or was written by another
  worker a moment ago;
- the journal receives exactly the samples that the raw tables received; what waits there and what
  is in the roll-ups (`ingest.merge`) are together all of them.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from ingest import copy, journal
from ingest.batch import Batch, Bools, Checked, Refusal
from ingest.grouping import group
from ingest.ledger import Ledger, to_datetime
from ingest.reasons import ADVICE
from ingest.receipt import Receipt
from ingest.statements import (
    INSERT_QUARANTINE,
    MERGE_LEDGER,
    create_raw_stages,
    insert_new,
    sample_columns,
    stage_of,
    unique_key,
)


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
            await self._connection.execute(create_raw_stages())
            self._prepared = True
        receipt, ledger = Receipt(received=len(batch)), Ledger()
        lags = origin != "replay"  # that it waited in quarantine is no lag of ours
        async with self._connection.transaction():
            # In one order, so that writers rarely wait for each other in a circle; when they do,
            # PostgreSQL ends one of them, and that one tries again.
            for checked in sorted(batch.checked, key=lambda c: c.stream.name):
                if len(checked):
                    stored = await self._write_samples(checked)
                    now_ms = time.time_ns() // 1_000_000 if lags else 0
                    ledger.count_samples(checked, stored, now_ms)
                    receipt.stored += int(stored.sum())
                    receipt.duplicates += int((~stored).sum())
            if batch.refusals:
                await self._write_refusals(batch.refusals, origin, ledger, receipt)
            await self._connection.executemany(MERGE_LEDGER, ledger.rows(origin))
        return receipt

    async def _write_samples(self, checked: Checked) -> Bools:
        """Raw rows and their journal entry; returns which samples were not there yet."""
        stored: Bools = np.zeros(len(checked), np.bool_)
        first = first_of_each(checked)
        candidates = checked.take(first)
        new = await self._insert_raw(candidates)
        stored[first[new]] = True
        if len(new):
            entry = candidates if len(new) == len(candidates) else candidates.take(new)
            name = checked.stream.name
            await self._connection.execute(journal.APPEND, name, len(new), journal.pack(entry))
        return stored

    async def _insert_raw(self, checked: Checked) -> NDArray[np.integer[Any]]:
        """Positions of the samples that were not there yet, and are now."""
        stream = checked.stream
        columns = raw_columns(checked)
        try:
            async with self._connection.transaction():  # a savepoint
                await self._copy(stream.table, columns)
            return np.arange(len(checked))
        except asyncpg.UniqueViolationError:
            row = copy.integers("row", np.arange(len(checked)), "i4")
            await self._copy(stage_of(stream.table, stream), [*columns, row])
            new = await self._connection.fetch(insert_new(stream))
            return np.sort(np.array([r[0] for r in new], np.int64))

    async def _write_refusals(
        self, refusals: list[Refusal], origin: str, ledger: Ledger, receipt: Receipt
    ) -> None:
        new = await self._connection.fetch(
            INSERT_QUARANTINE,
            [digest(r) for r in refusals],
            [to_datetime(r.received_ms) for r in refusals],
            [text(r.topic) for r in refusals],
            [r.carrier_id for r in refusals],
            [text(r.stream) for r in refusals],
            [text(r.device) for r in refusals],
            [r.reason.value for r in refusals],
            [text(f"{r.detail} → {ADVICE[r.reason]}") for r in refusals],
            [r.payload for r in refusals],
            origin,
            [text(r.content_type) for r in refusals],
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
            source=copy.encode(columns),
            columns=[c.name for c in columns],
            format="binary",
        )


def first_of_each(checked: Checked) -> NDArray[np.intp]:
    """Positions of the first sample of each key to arrive, in key order. n > 0."""
    names = ("time_ms" if k == "time" else k for k in unique_key(checked.stream))
    order, starts = group([checked.rows[name].astype(np.int64) for name in names])
    return order[starts]


def raw_columns(checked: Checked) -> list[copy.Column]:
    """Columns of the raw table, without those in which every sample is absent."""
    rows, stream = checked.rows, checked.stream
    columns = [copy.times("time", rows["time_ms"])]
    for name in sample_columns(stream)[1:]:
        kind = str(rows.dtype[name].str[1:])
        make = copy.integers if kind.startswith("i") else copy.floats
        column = make(name, rows[name], kind)
        if column.nulls is None or not column.nulls.all():
            columns.append(column)
    return columns


def digest(refusal: Refusal) -> bytes:
    """What makes a refused sample the same one when it is delivered again."""
    head = f"{refusal.topic}\0{refusal.item}\0".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(head + refusal.payload, digest_size=16).digest()


def text(value: str) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates."""
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
