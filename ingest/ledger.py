"""The ledger of a batch: who sent how much when, and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from ingest.batch import Bools, Checked, Refusal
from ingest.grouping import group
from shudao.streams import BATCH, STREAM_NAMES

MINUTE_MS = 60_000
Key = tuple[int, int, str]
"""Minute of arrival (ms), carrier, stream."""


def to_datetime(time_ms: int) -> datetime:
    """Milliseconds since the epoch → an aware datetime, exactly."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)


@dataclass(slots=True)
class Ledger:
    """Counts by minute of arrival, carrier and stream."""

    stored: Counter[Key] = field(default_factory=Counter)
    duplicates: Counter[Key] = field(default_factory=Counter)
    quarantined: Counter[Key] = field(default_factory=Counter)
    lag_sum_ms: Counter[Key] = field(default_factory=Counter)
    lag_max_ms: Counter[Key] = field(default_factory=Counter)

    def count_samples(self, checked: Checked, stored: Bools, now_ms: int) -> None:
        """Count valid samples; those not ``stored`` were there already."""
        minute = checked.received_ms // MINUTE_MS * MINUTE_MS
        carrier = checked.rows["carrier_id"].astype(np.int64)
        order, starts = group([minute, carrier])
        lag = np.where(stored, np.maximum(now_ms - checked.received_ms, 0), 0)[order]
        number = np.diff(starts, append=len(order))
        new = np.add.reduceat(stored[order].astype(np.int64), starts)
        total, latest = np.add.reduceat(lag, starts), np.maximum.reduceat(lag, starts)
        for i, row in enumerate(order[starts].tolist()):
            key = (int(minute[row]), int(carrier[row]), checked.stream.name)
            self.stored[key] += int(new[i])
            self.duplicates[key] += int(number[i] - new[i])
            self.lag_sum_ms[key] += int(total[i])
            self.lag_max_ms[key] = max(self.lag_max_ms[key], int(latest[i]))

    def count_refusal(self, refusal: Refusal, *, known: bool) -> None:
        """Count a refused sample; one that quarantine holds already is a duplicate."""
        minute = refusal.received_ms // MINUTE_MS * MINUTE_MS
        # A topic may say anything there; the ledger's key holds only what is known.
        stream = refusal.stream if refusal.stream in (*STREAM_NAMES, BATCH) else "unknown"
        key = (minute, refusal.carrier_id, stream)
        (self.duplicates if known else self.quarantined)[key] += 1

    def rows(self, origin: str) -> list[tuple[object, ...]]:
        """Rows of ``ingest_minute``, in key order."""
        keys = sorted({*self.stored, *self.duplicates, *self.quarantined})
        return [
            (to_datetime(k[0]), k[1], k[2], origin,
             self.stored[k] + self.duplicates[k] + self.quarantined[k], self.stored[k],
             self.duplicates[k], self.quarantined[k], self.lag_sum_ms[k], self.lag_max_ms[k])
            for k in keys
        ]  # fmt: skip
