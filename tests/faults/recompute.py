"""Roll-ups computed again from raw samples, in SQL: nothing of ingest/rollup.py is used.

Each column of the roll-up tables has its expression here; `unknown_columns` tells when a table has
one that is not checked.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from shudao.streams import (
    DOWN_BINS,
    DOWN_EDGES_MBPS,
    RSRP_EDGES_DBM,
    SIGNAL_BINS,
    SINR_BINS,
    SINR_EDGES_DB,
)

Key = tuple[Any, ...]
Row = dict[str, Any]

TABLES = {
    "coverage_minute": ("minute", "county", "coalesce(p.county, 0)"),
    "coverage_hour": ("hour", "place_id", "s.place_id"),
}
"""Roll-up → its step, its place column, and that column from a raw row."""


def _edges(edges: tuple[float, ...]) -> str:
    return f"ARRAY{list(edges)}::float8[]"


def _summary(name: str, column: str, *extremes: str) -> dict[str, str]:
    return {
        f"{name}_n": f"count({column})",
        f"{name}_sum_x100": f"coalesce(sum(round({column}::float8 * 100)::bigint), 0)::bigint",
        **{f"{name}_{extreme}": f"{extreme}({column})" for extreme in extremes},
    }


def _histogram(bin_of_row: str, bins: int) -> str:
    counts = [f"count(*) FILTER (WHERE {bin_of_row} = {i})" for i in range(bins)]
    return f"ARRAY[{', '.join(counts)}]::integer[]"


SIGNAL_BIN = (
    f"width_bucket(rsrp_dbm::float8, {_edges(RSRP_EDGES_DBM)}) * {SINR_BINS} + CASE WHEN sinr_db"
    f" IS NULL THEN 0 ELSE 1 + width_bucket(sinr_db::float8, {_edges(SINR_EDGES_DB)}) END"
)
DOWN_BIN = f"width_bucket(down_mbps::float8, {_edges(DOWN_EDGES_MBPS)})"

RADIO = {
    "radio_n": "count(*)",
    "detached_n": "count(*) FILTER (WHERE attached = 0)",
    **_summary("rsrp", "rsrp_dbm", "min", "max"),
    **_summary("sinr", "sinr_db", "min", "max"),
    **_summary("radio_rtt", "rtt_ms", "max"),
    **{f"ecl{level}_n": f"count(*) FILTER (WHERE ecl = {level})" for level in range(3)},
    "signal_bins": _histogram("bin", SIGNAL_BINS),
}
BROADBAND = {
    "broadband_n": "count(*)",
    **_summary("down", "down_mbps", "min", "max"),
    "down_bins": _histogram("bin", DOWN_BINS),
    **_summary("up", "up_mbps"),
    **_summary("rtt", "rtt_ms", "min", "max"),
    **_summary("jitter", "jitter_ms"),
    **_summary("loss", "loss_pct"),
    "ipv6_n": "count(ipv6)",
    "ipv6_yes": "count(*) FILTER (WHERE ipv6 = 1)",
}
MEASURES = {**RADIO, **BROADBAND}


async def expected(connection: asyncpg.Connection[Any], table: str) -> dict[Key, Row]:
    """What the table must hold: key → measures, those of a stream that has no samples left out."""
    step, _, place_of = TABLES[table]
    out: dict[Key, Row] = {}
    for raw, row_bin, measures in (
        ("radio_sample", SIGNAL_BIN, RADIO),
        ("broadband_sample", DOWN_BIN, BROADBAND),
    ):
        columns = ", ".join(f"{expression} AS {name}" for name, expression in measures.items())
        rows = await connection.fetch(
            f"SELECT date_trunc('{step}', time, 'UTC') AS {step}, place, carrier_id,"
            f" technology_id, {columns} FROM (SELECT s.*, {place_of} AS place, {row_bin} AS bin"
            f" FROM {raw} s LEFT JOIN place p USING (place_id)) AS placed GROUP BY 1, 2, 3, 4"
        )
        for row in rows:
            key = (row[step], row["place"], row["carrier_id"], row["technology_id"])
            out.setdefault(key, {}).update({name: row[name] for name in measures})
    return out


async def found(connection: asyncpg.Connection[Any], table: str) -> dict[Key, Row]:
    """What the table holds."""
    step, place, _ = TABLES[table]
    return {
        (r[step], r[place], r["carrier_id"], r["technology_id"]): {m: r[m] for m in MEASURES}
        for r in await connection.fetch(f"SELECT * FROM {table}")
    }


async def unknown_columns(connection: asyncpg.Connection[Any], table: str) -> set[str]:
    """Columns of the table that have no expression here."""
    step, place, _ = TABLES[table]
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
        " AND table_schema = 'public'",
        table,
    )
    known = {step, place, "carrier_id", "technology_id", *MEASURES}
    return {r["column_name"] for r in rows} ^ known


def differences(wanted: dict[Key, Row], got: dict[Key, Row]) -> list[str]:
    """One line for each group that differs, with its differing columns."""
    lines = []
    for key in sorted(wanted.keys() | got.keys()):
        if key not in wanted or key not in got:
            lines.append(f"{_words(key)}: {'missing' if key in wanted else 'has no samples'}")
            continue
        columns = {
            name: (got[key][name], wanted[key].get(name))
            for name in MEASURES
            if _plain(got[key][name]) != _plain(wanted[key].get(name))
        }
        if columns:
            each = (f"{name} = {a} and not {b}" for name, (a, b) in columns.items())
            lines.append(f"{_words(key)}: {', '.join(each)}")
    return lines


def _plain(value: Any) -> Any:
    """Nothing counted is NULL or 0, whichever the table says; a minimum has no 0 for it."""
    if isinstance(value, list):
        return value if any(value) else None
    return None if value == 0 and isinstance(value, int) else value


def _words(key: Key) -> str:
    time, *rest = key
    return f"{time:%d %H:%M}/{'/'.join(map(str, rest))}"
