"""What tests of evaluation share: a small province, goals, and samples rolled up in plain Python.

The roll-up here is written again, naively, from the contract in shudao/streams.py: nothing of the
ingester or of the evaluation is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from shudao.goals import Goal
from shudao.streams import DOWN_EDGES_MBPS, RSRP_EDGES_DBM, SINR_EDGES_DB

VINTAGE = date(2018, 10, 31)
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
NBIOT, LTE, FTTP, DSL = 1, 3, 10, 13

COUNTIES = {510104: 4, 510105: 3, 510703: 2}
"""Villages in each county: place ids count up from 1."""


def make_goal(**changes: Any) -> Goal:
    """A goal: half of at least 3 samples on 2 days good, in 10 days, the newest not older than 5.

    Keywords change criteria; ``goal_id``, ``stream``, ``technology``, ``kind`` and ``subkinds`` the
    rest; of several technologies, ``good`` names those whose samples can be good.
    """
    kind, subkinds = changes.pop("kind", "village"), changes.pop("subkinds", None)
    stream, technology = changes.pop("stream", "radio"), changes.pop("technology", "nbiot")
    evidence = {"stream": stream, "technologies": [technology]}
    if good := changes.pop("good", None):
        evidence |= {"technologies": [technology, good], "good": [good]}
    goal_id = changes.pop("goal_id", "test-goal")
    criteria = {
        "version": "1", "dated": date(2026, 1, 1), "share": 0.5, "min_samples": 3, "min_days": 2,
        "window_days": 10, "freshness_days": 5,
        **({"rsrp_dbm": -108, "sinr_db": -3} if stream == "radio" else {}), **changes,
    }  # fmt: skip
    criteria = {key: value for key, value in criteria.items() if value is not None}
    goal = {
        "id": goal_id, "clause": "N12", "section": "三(一)", "quote": "…", "title_zh": "测试",
        "title_en": "test", "departments": ["省经济和信息化委"],
        "places": {"kind": kind, **({"subkinds": subkinds} if subkinds else {})},
        "evidence": evidence,
        "criteria": criteria,
        "reasons": {key: "ours" for key in criteria if key not in ("version", "dated")},
    }  # fmt: skip
    return Goal.model_validate(goal)


@dataclass(frozen=True)
class Sample:
    """One measurement; ``rsrp`` None and not attached: the device found no cell."""

    hours_ago: int
    place: int = 1
    carrier: int = 1
    technology: int = NBIOT
    rsrp: float | None = None
    sinr: float | None = None
    attached: bool = True
    down: float | None = None
    ipv6: bool | None = None

    @property
    def hour(self) -> datetime:
        """Start of its hour."""
        return NOW - timedelta(hours=self.hours_ago)


async def add_places(connection: asyncpg.Connection[Any]) -> None:
    """The villages of `COUNTIES`; the last of each county is a community."""
    await connection.execute("INSERT INTO vintage (vintage, source) VALUES ($1, 'test')", VINTAGE)
    number = 0
    for county, villages in COUNTIES.items():
        for i in range(villages):
            number += 1
            subkind = "community" if i == villages - 1 else "village"
            await add_place(connection, number, county, subkind=subkind)


async def add_place(
    connection: asyncpg.Connection[Any],
    number: int,
    county: int,
    *,
    kind: str = "village",
    subkind: str | None = "village",
    vintage: date = VINTAGE,
) -> None:
    """One place without coordinates."""
    code = f"{county}{number:06}"
    await connection.execute(
        "INSERT INTO place (place_id, kind, subkind, vintage, division, county, code, name,"
        " coord_source, source) VALUES ($1, $2, $3, $4, $5, $6, $5, $5, 'synthetic', 'nbs')",
        number, kind, subkind, vintage, code, county,
    )  # fmt: skip


async def add_samples(connection: asyncpg.Connection[Any], samples: Iterable[Sample]) -> None:
    """Replace the roll-ups by those of ``samples``."""
    await connection.execute("DELETE FROM coverage_hour")
    rows: dict[tuple[Any, ...], list[Sample]] = defaultdict(list)
    for s in samples:
        rows[s.hour, s.place, s.carrier, s.technology].append(s)
    await connection.executemany(
        "INSERT INTO coverage_hour (hour, place_id, carrier_id, technology_id, detached_n,"
        " signal_bins, down_bins, ipv6_n, ipv6_yes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [(*key, *_measures(group)) for key, group in rows.items()],
    )


def _measures(samples: list[Sample]) -> tuple[int, list[int], list[int], int, int]:
    signal, down = [0] * 45, [0] * 8
    for s in samples:
        if s.rsrp is not None:
            rsrp_bin = sum(s.rsrp >= edge for edge in RSRP_EDGES_DBM)
            sinr_class = 0 if s.sinr is None else 1 + sum(s.sinr >= e for e in SINR_EDGES_DB)
            signal[rsrp_bin * 5 + sinr_class] += 1
        if s.down is not None:
            down[sum(s.down >= edge for edge in DOWN_EDGES_MBPS)] += 1
    detached = sum(not s.attached for s in samples)
    answered = [s.ipv6 for s in samples if s.ipv6 is not None]
    return detached, signal, down, len(answered), sum(answered)


async def states(
    connection: asyncpg.Connection[Any], goal: str = "test-goal"
) -> dict[tuple[int, int], str]:
    """Stored state by (place, carrier)."""
    rows = await connection.fetch("SELECT * FROM place_state WHERE goal = $1", goal)
    return {(row["place_id"], row["carrier_id"]): row["state"] for row in rows}
