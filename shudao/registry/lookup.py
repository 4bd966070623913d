"""Look divisions up in the database: what a code means, and where a name is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shudao.errors import ShudaoError
from shudao.registry.load import Connection, require_loaded
from shudao.registry.tree import DEVELOPMENT_ZONES, Level

_DIVISION = """
SELECT d.vintage::text, d.code, d.level, d.kind, d.name, d.parent, v.source
FROM division d JOIN vintage v USING (vintage) WHERE d.code = $1 ORDER BY d.vintage
"""
_ANCESTORS = """
SELECT vintage::text, code, name FROM division
WHERE code = ANY($1) AND vintage = ANY($2) ORDER BY vintage, code
"""
_CHILDREN = """
SELECT code, name, level, kind FROM division WHERE vintage = $1 AND parent = $2 ORDER BY code
"""
_COUNTS = """
SELECT CASE WHEN code = ANY($3) THEN 'development_zone' ELSE coalesce(kind, level) END AS what,
       level, count(*) AS n
FROM division WHERE vintage = $1 AND code > $2 AND code < $2 || 'a' GROUP BY 1, 2
"""
_PLACE = """
SELECT place_id, lon, lat, coord_source, coord_precision_m, county, source FROM place
WHERE vintage = $1 AND kind = 'village' AND code = $2
"""
_FIND = """
SELECT d.vintage::text, d.code, d.level, d.kind, d.name
FROM division d
WHERE d.vintage = ANY($1) AND d.name LIKE ANY($2) AND ($3::text IS NULL OR d.level = $3)
  AND NOT EXISTS (
    SELECT 1 FROM unnest($5::text[]) AS word(pattern)
    WHERE NOT EXISTS (
        SELECT 1 FROM division a
        WHERE a.vintage = d.vintage AND a.name LIKE word.pattern AND a.code <> d.code
          AND a.code IN (left(d.code, 2), left(d.code, 4), left(d.code, 6), left(d.code, 9))))
ORDER BY d.name <> $4, NOT starts_with(d.name, $4), length(d.code), d.vintage, d.code
LIMIT $6
"""

Rows = list[dict[str, Any]]
COUNT_ORDER = (
    "prefecture", "county", "development_zone", "town", "village", "community", "special",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means in one vintage: the division and its ancestors, province first."""

    division: dict[str, Any]
    ancestors: Rows

    @property
    def path(self) -> str:
        """Names from the province down to the division itself."""
        names = [str(a["name"]) for a in self.ancestors]
        return " / ".join([*names, str(self.division["name"])])


def check_text(text: str) -> None:
    """Raise `ShudaoError` for what the database has no text for: NUL, bytes that are no UTF-8."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ShudaoError(f"{text!a} is not text in UTF-8", "write it in UTF-8, without NUL")


async def meanings(connection: Connection, code: str) -> dict[str, Meaning]:
    """What a code means, by vintage, oldest first; empty when no vintage has it."""
    divisions = [dict(row) for row in await connection.fetch(_DIVISION, code)]
    above = [code[:n] for n in (2, 4, 6, 9) if n < len(code)]
    days = [date.fromisoformat(d["vintage"]) for d in divisions]
    ancestors = [dict(row) for row in await connection.fetch(_ANCESTORS, above, days)]
    return {
        d["vintage"]: Meaning(
            d,
            [
                {"code": a["code"], "name": a["name"]}
                for a in ancestors
                if a["vintage"] == d["vintage"]
            ],
        )
        for d in divisions
    }


async def describe(connection: Connection, code: str, vintage: str) -> dict[str, Any]:
    """Everything known of a division, ready for JSON.

    Keys: the division's own, ``path``, ``zone_in`` (of a development zone: the county whose land
    it is on), ``ancestors``, ``children``, ``counts`` (of all below), ``place``
    (coordinates; leaves only) and ``other_vintages``: what the code means there, and whether that
    differs. Raises `ShudaoError` when the vintage does not have the code.
    """
    check_text(code)
    await require_loaded(connection, [vintage])
    found = await meanings(connection, code)
    if vintage not in found:
        raise _unknown(code, vintage, found)
    own = found.pop(vintage)
    day = date.fromisoformat(vintage)
    place = await connection.fetchrow(_PLACE, day, code)
    return {
        **own.division,
        "path": own.path,
        "zone_in": DEVELOPMENT_ZONES.get(code),
        "ancestors": own.ancestors,
        "counts": await _counts(connection, code, day),
        "children": [dict(row) for row in await connection.fetch(_CHILDREN, day, code)],
        "place": dict(place) if place else None,
        "other_vintages": [
            {"vintage": v, "path": m.path, "differs": m.path != own.path} for v, m in found.items()
        ],
    }


async def find(
    connection: Connection,
    text: str,
    vintages: Sequence[str],
    level: Level | None = None,
    limit: int = 20,
) -> Rows:
    """Divisions by name, the best match first, each with its ``path``.

    The last word of ``text`` is looked for in the name, the words before it in the names of its
    ancestors (``射洪 青岗``). When no name contains it, one wrong character and left-out characters
    are forgiven.
    """
    check_text(text)
    *above, name = text.split() or [""]
    if not name:
        raise ShudaoError("nothing to find", "give a name, such as `shudao registry find 青岗`")
    await require_loaded(connection, vintages)
    days = [date.fromisoformat(vintage) for vintage in vintages]
    words = [_contains(word) for word in above]
    for patterns in ([_contains(name)], _forgiving(name)):
        rows = await connection.fetch(_FIND, days, patterns, level, name, words, limit)
        if rows:
            return await _with_paths(connection, [dict(row) for row in rows])
    return []


async def _counts(connection: Connection, code: str, day: date) -> dict[str, int]:
    rows = await connection.fetch(_COUNTS, day, code, list(DEVELOPMENT_ZONES))
    found = {row["what"]: row["n"] for row in rows}
    return {what: found[what] for what in COUNT_ORDER if what in found}


async def _with_paths(connection: Connection, rows: Rows) -> Rows:
    above = {row["code"][:n] for row in rows for n in (2, 4, 6, 9) if n < len(row["code"])}
    days = [date.fromisoformat(v) for v in {row["vintage"] for row in rows}]
    ancestors = await connection.fetch(_ANCESTORS, list(above), days)
    names = {(a["vintage"], a["code"]): a["name"] for a in ancestors}
    for row in rows:
        code = row["code"]
        parents = [names[row["vintage"], code[:n]] for n in (2, 4, 6, 9) if n < len(code)]
        row["path"] = " / ".join([*parents, row["name"]])
    return rows


def _escaped(text: str) -> str:
    return "".join("\\" + c if c in "\\%_" else c for c in text)


def _contains(text: str) -> str:
    return f"%{_escaped(text)}%"


def _forgiving(text: str) -> list[str]:
    """Patterns for one wrong character (of three or more) and for characters left out."""
    letters = [_escaped(c) for c in text]
    patterns = ["%" + "%".join(letters) + "%"]
    if len(letters) > 2:
        patterns += [
            "%" + "".join([*letters[:i], "_", *letters[i + 1 :]]) + "%" for i in range(len(letters))
        ]
    return patterns


def _unknown(code: str, vintage: str, found: dict[str, Meaning]) -> ShudaoError:
    if found:
        others = "; ".join(f"{v}: {m.path}" for v, m in found.items())
        return ShudaoError(
            f"{code} is no code of {vintage}, but of another vintage ({others})",
            f"add `--vintage {next(iter(found))}`",
        )
    return ShudaoError(
        f"no division has the code {code}", "look its name up with `shudao registry find 名称`"
    )
