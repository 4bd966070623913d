"""The SQL of the writer, made from the streams' fields and the roll-ups' measures."""

from __future__ import annotations

from collections.abc import Iterable

from shudao.streams import DOWN_BINS, SIGNAL_BINS, STREAMS, Stream

SAMPLE_KEYS = ("time", "device_id", "place_id", "carrier_id", "technology_id")
ROLLUP_KEYS = {
    "coverage_minute": ("county", "carrier_id", "technology_id", "minute"),
    "coverage_hour": ("place_id", "carrier_id", "technology_id", "hour"),
}
_BINS = {"signal_bins": SIGNAL_BINS, "down_bins": DOWN_BINS}


def stage_of(table: str, stream: Stream) -> str:
    """The temporary table that rows of a stream pass through on their way into ``table``."""
    return f"stage_{table}_{stream.name}"


def create_raw_stages() -> str:
    """The writer's temporary tables, empty again after every transaction."""
    return _create(
        f"{stage_of(s.table, s)} (LIKE {s.table}, row integer)" for s in STREAMS.values()
    )


def _create(tables: Iterable[str]) -> str:
    return ";\n".join(f"CREATE TEMP TABLE IF NOT EXISTS {t} ON COMMIT DELETE ROWS" for t in tables)


CREATE_ROLLUP_STAGES = _create(
    [
        *(
            f"{stage_of(table, s)} (LIKE {table})"
            for table in ROLLUP_KEYS
            for s in STREAMS.values()
            if s.name != "reading"
        ),
        "stage_seen (LIKE device_seen)",
    ]
)
"""The merger's temporary tables, empty again after every transaction."""


def sample_columns(stream: Stream) -> list[str]:
    """Columns of a stream's raw table, in the order of COPY."""
    return [*SAMPLE_KEYS, *(f.name for f in stream.fields)]


def unique_key(stream: Stream) -> tuple[str, ...]:
    """What identifies a sample: a device measures one thing at an instant, or one per metric."""
    return ("device_id", "time") + (("metric_id",) if stream.name == "reading" else ())


def insert_new(stream: Stream) -> str:
    """Staged samples → raw table; returns ``row`` of those that were not there yet."""
    columns = ", ".join(sample_columns(stream))
    key = ", ".join(unique_key(stream))
    stage = stage_of(stream.table, stream)
    return (
        f"WITH new AS (INSERT INTO {stream.table} ({columns})"
        f" SELECT {columns} FROM {stage} ORDER BY {key}"
        f" ON CONFLICT DO NOTHING RETURNING {key})"
        f" SELECT s.row FROM new JOIN {stage} s USING ({key})"
    )


def merge_rollup(table: str, stream: Stream, measures: Iterable[str]) -> str:
    """Staged roll-up rows → roll-up table, added to what is there."""
    measures = list(measures)
    keys = ROLLUP_KEYS[table]
    columns = ", ".join([*keys, *measures])
    updates = ", ".join(f"{m} = {_merged(m)}" for m in measures)
    return (
        f"INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage_of(table, stream)}"
        # One order for every writer: two of them can wait for each other, but not in a circle.
        f" ORDER BY {', '.join(keys)}"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}"
    )


def _merged(measure: str) -> str:
    old, new = f"t.{measure}", f"excluded.{measure}"
    if measure.endswith("_min"):
        return f"LEAST({old}, {new})"
    if measure.endswith("_max"):
        return f"GREATEST({old}, {new})"
    if measure in _BINS:
        added = ", ".join(f"{old}[{i}] + {new}[{i}]" for i in range(1, _BINS[measure] + 1))
        return f"CASE WHEN {old} IS NULL THEN {new} ELSE ARRAY[{added}] END"
    return f"COALESCE({old}, 0) + {new}"


MERGE_SEEN = """
INSERT INTO device_seen AS t (device_id, last_time, last_received, samples)
SELECT device_id, last_time, last_received, samples FROM stage_seen ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE SET
    last_time = GREATEST(t.last_time, excluded.last_time),
    last_received = GREATEST(t.last_received, excluded.last_received),
    samples = t.samples + excluded.samples
"""

MERGE_LEDGER = """
INSERT INTO ingest_minute AS t (minute, carrier_id, stream, origin,
    received, stored, duplicates, quarantined, lag_sum_ms, lag_max_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (minute, carrier_id, stream, origin) DO UPDATE SET
    received = t.received + excluded.received, stored = t.stored + excluded.stored,
    duplicates = t.duplicates + excluded.duplicates,
    quarantined = t.quarantined + excluded.quarantined,
    lag_sum_ms = t.lag_sum_ms + excluded.lag_sum_ms,
    lag_max_ms = GREATEST(t.lag_max_ms, excluded.lag_max_ms)
"""

INSERT_QUARANTINE = """
WITH refused AS (
    SELECT * FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::smallint[],
        $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $11::text[]) WITH ORDINALITY
        AS r (digest, received, topic, carrier_id, stream, device, reason, detail, payload,
            content_type, row)),
first AS (
    SELECT DISTINCT ON (digest) *, count(*) OVER digests AS times,
        max(received) OVER digests AS last_received
    FROM refused WINDOW digests AS (PARTITION BY digest) ORDER BY digest, row),
kept AS (
    INSERT INTO quarantine AS q (digest, received, last_received, times, origin, topic,
        carrier_id, stream, device, reason, detail, payload, content_type)
    SELECT digest, received, last_received, times, $10, topic,
        carrier_id, stream, device, reason, detail, payload, content_type
    FROM first ORDER BY digest
    ON CONFLICT (digest) DO UPDATE SET times = q.times + excluded.times,
        last_received = GREATEST(q.last_received, excluded.last_received)
        WHERE $10 NOT IN ('import', 'replay')  -- a file imported again is no new arrival
    RETURNING digest, xmax = 0 AS is_new)
SELECT row::integer - 1 AS row FROM first JOIN kept USING (digest) WHERE is_new
"""
