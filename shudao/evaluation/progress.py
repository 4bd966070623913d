"""Read progress: how many places of a goal are covered, uncovered and unknown in a division."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shudao.errors import ShudaoError
from shudao.registry.load import Connection, require_loaded
from shudao.registry.lookup import check_text, find
from shudao.vocabulary import ANY_CARRIER

LISTED = 8
"""So many divisions at most are named in an error."""

_LATEST = """
SELECT DISTINCT ON (goal, division, carrier_id)
       goal, division, carrier_id, day, criteria, covered, uncovered, unknown, denominator,
       evaluated_at
  FROM goal_progress
 WHERE vintage = $1 AND goal = ANY($2::text[]) AND division = ANY($3::text[]) AND carrier_id = $4
 ORDER BY goal, division, carrier_id, day DESC
"""
_HISTORY = """
SELECT goal, division, carrier_id, day, criteria, covered, uncovered, unknown, denominator,
       evaluated_at
  FROM goal_progress
 WHERE vintage = $1 AND goal = $2 AND division = $3 AND carrier_id = $4
 ORDER BY day
"""
_DIVISION = """
SELECT code, name, level FROM division WHERE vintage = $1 AND code = $2
"""
_CHILDREN = """
SELECT code, name, level FROM division
 WHERE vintage = $1 AND parent = $2 AND length(code) <= 6
 ORDER BY code
"""
_NAMED = """
SELECT code, name, level FROM division
 WHERE vintage = $1 AND length(code) <= 6 AND starts_with(name, $2)
 ORDER BY name <> $2, code
"""


@dataclass(frozen=True, slots=True)
class Division:
    """A province, prefecture or county: what progress is kept for."""

    code: str
    name: str
    level: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One goal in one division for one carrier (0: any of the four) on one day (UTC)."""

    goal: str
    division: str
    carrier_id: int
    day: date
    criteria: str
    covered: int
    uncovered: int
    unknown: int
    denominator: int
    evaluated_at: datetime

    @property
    def share(self) -> float | None:
        """Covered of all places; None where there is no place."""
        return self.covered / self.denominator if self.denominator else None

    @property
    def unknown_share(self) -> float | None:
        """Unknown of all places; None where there is no place."""
        return self.unknown / self.denominator if self.denominator else None

    @property
    def share_of_measured(self) -> float | None:
        """Covered of the places that are covered or uncovered; None where nothing is known."""
        measured = self.covered + self.uncovered
        return self.covered / measured if measured else None


async def latest_progress(
    connection: Connection,
    vintage: date,
    goals: Sequence[str],
    divisions: Sequence[str],
    carrier_id: int = ANY_CARRIER,
) -> dict[tuple[str, str], Progress]:
    """The newest progress by (goal, division); what was never evaluated is left out."""
    rows = await connection.fetch(_LATEST, vintage, goals, divisions, carrier_id)
    return {(row["goal"], row["division"]): Progress(**dict(row)) for row in rows}


async def progress_history(
    connection: Connection, vintage: date, goal: str, division: str, carrier_id: int
) -> list[Progress]:
    """The last evaluation of each day, oldest first."""
    rows = await connection.fetch(_HISTORY, vintage, goal, division, carrier_id)
    return [Progress(**dict(row)) for row in rows]


async def find_division(connection: Connection, vintage: date, asked: str) -> Division:
    """The province, prefecture or county that a code or the beginning of a name means.

    Raises `ShudaoError` for nothing at all, for a town or village, for an unknown one (with near
    names), for a name that several have, and when the registry is not loaded.
    """
    check_text(asked)
    if not asked.strip():
        raise ShudaoError("no division is named", "give a code, as 5101, or a name, as 成都市")
    await require_loaded(connection, [str(vintage)])
    if asked.isdecimal():
        rows = await connection.fetch(_DIVISION, vintage, asked)
    else:
        rows = await connection.fetch(_NAMED, vintage, asked)
        rows = [row for row in rows if row["name"] == asked] or rows
    if len(rows) == 1:
        return _kept(Division(**dict(rows[0])), asked)
    if rows:
        raise ShudaoError(f"'{asked}' may be {listed(rows)}", "give the code")
    raise ShudaoError(
        f"the registry of {vintage} has no division '{asked}'",
        await _near(connection, vintage, asked),
    )


async def children_of(connection: Connection, vintage: date, division: Division) -> list[Division]:
    """The prefectures of a province or the counties of a prefecture, by code; a county has none."""
    rows = await connection.fetch(_CHILDREN, vintage, division.code)
    return [Division(**dict(row)) for row in rows]


def _kept(division: Division, asked: str) -> Division:
    if len(division.code) > 6:
        raise ShudaoError(
            f"'{asked}' is a {division.level} ({division.name}); progress is kept down to counties",
            f"ask for its county {division.code[:6]}",
        )
    return division


async def _near(connection: Connection, vintage: date, asked: str) -> str:
    if asked.isdecimal():
        return "codes have 2 (province), 4 (prefecture) or 6 (county) digits, as in 5101"
    rows = await find(connection, asked, [str(vintage)], limit=50)
    near = [row for row in rows if len(row["code"]) <= 6] or rows[:3]
    return f"did you mean {listed(near[:5])}?" if near else "look it up: `shudao registry find`"


def listed(rows: Sequence[Mapping[str, object]]) -> str:
    """Names and codes of divisions, the first `LISTED` of them, for an error."""
    named = [f"{row['name']} ({row['code']})" for row in rows[:LISTED]]
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return ", ".join(named) + more
