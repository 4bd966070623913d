"""What the database of a benchmark holds before a phase, and what it must hold after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from tests.bench.ingest.probe import PROBE, PROBE_CARRIER

FIRST_DEVICE = 510_000_000_000
"""Device n is called nb-{carrier}-{FIRST_DEVICE + n}, as a real one after its village."""
_WRITTEN = (
    "radio_sample, coverage_minute, coverage_hour, ingest_minute, quarantine, rollup_journal,"
    " device_seen"
)


async def register(connection: asyncpg.Connection[Any], devices: int, places: int) -> int:
    """Places and devices, evenly spread over places and carriers; returns the probe's id."""
    await connection.execute(
        "INSERT INTO place (place_id, kind, vintage, division, county, code, name, coord_source,"
        " source) SELECT i + 1, 'village', '2018-10-31', 510100 + i % 183, 510100 + i % 183,"
        f" {FIRST_DEVICE} + i, i, 'synthetic', 'bench' FROM generate_series(0, {places - 1}) i"
    )
    await connection.execute(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, interval_s, source)"
        f" SELECT 'nb-' || code || '-' || ({FIRST_DEVICE} + i), carrier_id,"
        f" i * {places} / {devices} + 1, 1, 'sensor', 86400, 'registered'"
        f" FROM generate_series(0, {devices - 1}::bigint) i"
        " JOIN carrier ON carrier_id = i % 4 + 1 ORDER BY i"
    )
    probe: int = await connection.fetchval(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)"
        " SELECT $1, carrier_id, 1, 1, 'sensor', 'registered' FROM carrier WHERE code = $2"
        " RETURNING device_id",
        PROBE,
        PROBE_CARRIER,
    )
    await connection.execute("VACUUM ANALYZE place, device")
    return probe


async def empty(connection: asyncpg.Connection[Any]) -> None:
    """Remove all that was ingested, and write what the server still owes to disk."""
    await connection.execute(f"TRUNCATE {_WRITTEN}")
    await connection.execute("CHECKPOINT")


@dataclass(frozen=True, slots=True)
class Counts:
    """What is stored. Sums of RSRP are in hundredths of dBm."""

    raw: int
    raw_rsrp_sum_x100: int
    ledger_stored: int
    duplicates: int
    quarantined: int
    journal: int
    by_minute: int
    by_hour: int
    by_hour_rsrp_sum_x100: int

    def __sub__(self, before: Counts) -> Counts:
        mine, others = asdict(self), asdict(before)
        return Counts(**{name: mine[name] - others[name] for name in mine})

    def wrong(self, published: int, rsrp_sum_x100: int, *, rolls_up: bool) -> list[str]:
        """What differs from what was published, in words; the journal must be empty."""
        expected = {"raw": published, "raw_rsrp_sum_x100": rsrp_sum_x100, "duplicates": 0,
                    "quarantined": 0, "journal": 0}  # fmt: skip
        if rolls_up:
            expected |= dict.fromkeys(("ledger_stored", "by_minute", "by_hour"), published)
            expected["by_hour_rsrp_sum_x100"] = rsrp_sum_x100
        stored = asdict(self)
        return [f"{k} is {stored[k]:,}, not {v:,}" for k, v in expected.items() if stored[k] != v]


async def count(connection: asyncpg.Connection[Any]) -> Counts:
    """Count everything; looks at every row."""
    row = await connection.fetchrow(
        "SELECT * FROM"
        " (SELECT count(*), coalesce(sum((rsrp_dbm * 100)::bigint), 0) FROM radio_sample) r,"
        " (SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0) FROM ingest_minute) l,"
        " (SELECT count(*) FROM quarantine) q, (SELECT count(*) FROM rollup_journal) j,"
        " (SELECT coalesce(sum(radio_n), 0) FROM coverage_minute) m,"
        " (SELECT coalesce(sum(radio_n), 0), coalesce(sum(rsrp_sum_x100), 0)"
        "  FROM coverage_hour) h"
    )
    assert row is not None
    return Counts(*(int(value) for value in row.values()))


async def ledger_stored(connection: asyncpg.Connection[Any]) -> int:
    """Samples that the ledger says are stored; the ledger commits with them."""
    return int(await connection.fetchval("SELECT coalesce(sum(stored), 0) FROM ingest_minute"))


async def waiting(connection: asyncpg.Connection[Any]) -> int:
    """Entries of the journal: 0 when all that is stored is rolled up."""
    return int(await connection.fetchval("SELECT count(*) FROM rollup_journal"))
