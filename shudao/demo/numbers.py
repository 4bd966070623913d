"""The numbers that the demo shows, read from the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from shudao.vocabulary import ANY_CARRIER

_LEDGER = """
SELECT coalesce(sum(received), 0)::bigint AS received, coalesce(sum(stored), 0)::bigint AS stored,
    coalesce(sum(duplicates), 0)::bigint AS duplicates,
    coalesce(sum(quarantined), 0)::bigint AS quarantined
FROM ingest_minute WHERE origin = 'mqtt'
"""
_WAITING = "SELECT coalesce(sum(samples), 0)::bigint FROM rollup_journal"
_LAG = """
SELECT sum(lag_sum_ms)::float8 / nullif(sum(stored), 0) AS mean, max(lag_max_ms) AS greatest
FROM ingest_minute WHERE origin = 'mqtt' AND minute >= now() - INTERVAL '2 minutes'
"""
_REACH = """
SELECT count(DISTINCT substr(p.division, 1, 4)) AS prefectures,
    count(DISTINCT d.carrier_id) AS carriers
FROM device_seen s JOIN device d USING (device_id) JOIN place p USING (place_id)
WHERE s.last_received >= $1
"""
_PROGRESS = """
SELECT DISTINCT ON (goal) goal, covered, uncovered, unknown, denominator
FROM goal_progress WHERE vintage = $1::text::date AND division = '51' AND carrier_id = $2
ORDER BY goal, day DESC
"""


@dataclass(slots=True)
class Counts:
    """Samples that the ingester received over MQTT, and what became of them."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def since(self, start: Counts) -> Counts:
        """What was added after ``start``."""
        return Counts(
            self.received - start.received,
            self.stored - start.stored,
            self.duplicates - start.duplicates,
            self.quarantined - start.quarantined,
        )


@dataclass(slots=True)
class Numbers:
    """All that the view shows from the database."""

    counts: Counts = field(default_factory=Counts)
    waiting: int = 0
    """Samples that are stored and not yet rolled up: no goal counts them yet."""
    lag_mean_ms: float | None = None
    lag_max_ms: int | None = None
    prefectures: int = 0
    carriers: int = 0
    progress: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    """Goal → covered, uncovered, unknown, denominator; province, any carrier."""


async def read_counts(database: asyncpg.Pool[Any]) -> Counts:
    """The ledger's totals."""
    row = await database.fetchrow(_LEDGER)
    assert row is not None
    return Counts(**dict(row))


async def read_fast(database: asyncpg.Pool[Any], numbers: Numbers, start: Counts) -> None:
    """What is cheap enough for every second."""
    numbers.counts = (await read_counts(database)).since(start)
    numbers.waiting = await database.fetchval(_WAITING)
    lag = await database.fetchrow(_LAG)
    assert lag is not None
    numbers.lag_mean_ms, numbers.lag_max_ms = lag["mean"], lag["greatest"]


async def read_slow(
    database: asyncpg.Pool[Any], numbers: Numbers, began: datetime, vintage: str
) -> None:
    """What is read every few seconds: who was heard since ``began``, and the goals."""
    reach = await database.fetchrow(_REACH, began)
    assert reach is not None
    numbers.prefectures, numbers.carriers = reach["prefectures"], reach["carriers"]
    rows = await database.fetch(_PROGRESS, vintage, ANY_CARRIER)
    numbers.progress = {
        r["goal"]: (r["covered"], r["uncovered"], r["unknown"], r["denominator"]) for r in rows
    }
