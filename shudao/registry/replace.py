"""Put checked coordinates into the database, in one transaction, and give a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shudao.registry.load import Connection, require_loaded
from shudao.registry.surveyed import Accepted, Checked, Refusal

_STAGE = """
CREATE TEMP TABLE stage_surveyed (
    code text PRIMARY KEY, lon double precision, lat double precision)
"""
_REPLACE = """
UPDATE place p
SET lon = s.lon, lat = s.lat, coord_source = 'surveyed', coord_precision_m = $2::real
FROM stage_surveyed s
WHERE p.vintage = $1 AND p.kind = 'village' AND p.code = s.code
  AND (p.lon, p.lat, p.coord_source, p.coord_precision_m)
      IS DISTINCT FROM (s.lon, s.lat, 'surveyed', $2::real)
"""
_WOULD_REPLACE = """
SELECT count(*) FROM place p JOIN stage_surveyed s USING (code)
WHERE p.vintage = $1 AND p.kind = 'village'
  AND (p.lon, p.lat, p.coord_source, p.coord_precision_m)
      IS DISTINCT FROM (s.lon, s.lat, 'surveyed', $2::real)
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a file: ``read`` = ``replaced`` + ``unchanged`` + all that was refused.

    When ``applied`` is false (a dry run, or a strict one with refusals) nothing was written, and
    ``replaced`` is what would have been.
    """

    read: int
    replaced: int
    unchanged: int
    refused: dict[str, int]
    refusals: tuple[Refusal, ...]
    applied: bool


async def replace_coordinates(
    connection: Connection,
    checked: Checked,
    vintage: str,
    *,
    precision_m: float,
    dry_run: bool = False,
    strict: bool = False,
) -> Receipt:
    """Replace the coordinates of the accepted villages by surveyed ones.

    ``precision_m`` is stated for all of them. With ``strict`` nothing is written when any line was
    refused; with ``dry_run`` nothing is written at all.
    """
    apply = not dry_run and not (strict and checked.refused)
    arguments = (date.fromisoformat(vintage), precision_m)
    await require_loaded(connection, [vintage])
    async with connection.transaction():
        await _stage(connection, checked.accepted)
        if apply:
            done = await connection.execute(_REPLACE, *arguments)
            replaced = int(done.split()[-1])
        else:
            replaced = await connection.fetchval(_WOULD_REPLACE, *arguments)
        await connection.execute("DROP TABLE stage_surveyed")
    return Receipt(
        read=len(checked.accepted) + len(checked.refused),
        replaced=replaced,
        unchanged=len(checked.accepted) - replaced,
        refused=checked.reasons,
        refusals=tuple(checked.refused),
        applied=apply,
    )


async def _stage(connection: Connection, accepted: Sequence[Accepted]) -> None:
    rows: list[tuple[Any, ...]] = [tuple(row) for row in accepted]
    await connection.execute(_STAGE)
    await connection.copy_records_to_table("stage_surveyed", records=rows)
