"""The journal: samples that are stored and not yet in both roll-ups.

A batch's transaction writes its new samples twice: as raw rows, and packed into one row of
``rollup_journal``. Rolling up (`ingest.merge`) takes what waits there, from all workers and many
batches at once: it adds it to the minutes and marks it, then to the hours and deletes it, each in
one transaction. So
- a sample is in the journal or in a roll-up, never in both and never in neither, whatever dies at
  whatever moment;
- the rows of a roll-up that many samples share (a county's minute, a village's hour) are written
  once in a while instead of once a batch, which is what costs most (`shudao bench ingest`);
- workers never wait for each other's roll-ups.
"""

from __future__ import annotations

import io

import numpy as np

from ingest.batch import Checked, Ints, Rows
from shudao.streams import STREAMS, Stream, StreamName

_KEYS = ("time_ms", "device_id", "place_id", "carrier_id", "technology_id")
_ROLLED_UP: dict[StreamName, tuple[str, ...]] = {
    "radio": ("rsrp_dbm", "sinr_db", "rtt_ms", "ecl", "attached"),
    "broadband": (
        "down_mbps", "up_mbps", "rtt_ms", "jitter_ms", "loss_pct", "ipv6",
    ),
    "reading": (),  # only last-seen
}  # fmt: skip
"""The fields that a roll-up reads (ingest/rollup.py)."""

APPEND = "INSERT INTO rollup_journal (stream, samples, rows) VALUES ($1, $2, $3)"
"""Parameters: stream, number of samples, packed rows."""

_TAKE = """
SELECT journal_id, stream, samples FROM (
    SELECT journal_id, stream, samples, sum(samples) OVER (ORDER BY journal_id) - samples AS earlier
    FROM rollup_journal WHERE {which} AND journal_id <= $2) waiting
WHERE earlier < $1 ORDER BY journal_id
"""
TAKE_FOR_MINUTES = _TAKE.format(which="NOT in_minutes")
TAKE_FOR_HOURS = _TAKE.format(which="in_minutes")
"""The oldest entries up to $2, as many as hold $1 samples (at least one entry)."""
READ = "SELECT stream, rows FROM rollup_journal WHERE journal_id = ANY($1::bigint[])"
NEWEST = "SELECT max(journal_id) FROM rollup_journal"

MARK = "UPDATE rollup_journal SET in_minutes = true WHERE journal_id = ANY($1::bigint[])"
DROP = "DELETE FROM rollup_journal WHERE journal_id = ANY($1::bigint[])"

WAITING = "SELECT coalesce(sum(samples), 0)::bigint FROM rollup_journal"
"""How many samples wait for one roll-up or the other."""


def dtype(stream: Stream) -> np.dtype[np.void]:
    """What the journal keeps of a sample: keys, arrival, county, and what is rolled up."""
    kept = [(name, stream.dtype[name].str) for name in (*_KEYS, *_ROLLED_UP[stream.name])]
    return np.dtype([*kept, ("county", "<i4"), ("received_ms", "<i8")])


def pack(checked: Checked) -> bytes:
    """New samples → the bytes of an entry (.npy, which names its own columns)."""
    rows = np.empty(len(checked), dtype(checked.stream))
    for name in (*_KEYS, *_ROLLED_UP[checked.stream.name]):
        rows[name] = checked.rows[name]
    rows["county"], rows["received_ms"] = checked.county, checked.received_ms
    out = io.BytesIO()
    np.save(out, rows, allow_pickle=False)
    return out.getvalue()


def unpack(stream: StreamName, entry: bytes) -> Rows:
    """The bytes of an entry → its rows, in `dtype`. Raises ValueError on other bytes."""
    rows: Rows = np.load(io.BytesIO(entry), allow_pickle=False)
    if rows.dtype != dtype(STREAMS[stream]):
        raise ValueError(f"a journal entry of {stream} holds {rows.dtype}")
    return rows


def newest_by_device(rows: Rows) -> tuple[Ints, Ints, Ints, Ints]:
    """device_id, newest time (ms), newest arrival (ms) and number of samples, by device."""
    order = np.argsort(rows["device_id"], kind="stable")
    device, starts, counts = np.unique(
        rows["device_id"][order], return_index=True, return_counts=True
    )
    newest = np.maximum.reduceat(rows["time_ms"][order], starts)
    arrived = np.maximum.reduceat(rows["received_ms"][order], starts)
    return device, newest, arrived, counts
