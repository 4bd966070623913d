"""Devices of recorded files: registered by the import, once, and never changed by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from shudao.errors import ShudaoError
from shudao.vocabulary import FOREIGN_CARRIER, UNPLACED, Carrier

_REGISTER = """
INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)
SELECT name, $2, $3, $4, 'recorded', 'import' FROM unnest($1::text[]) AS name ORDER BY name
ON CONFLICT (name) DO NOTHING RETURNING name
"""
_OTHERS = """
SELECT name, carrier_id, place_id FROM device
WHERE name = ANY($1::text[]) AND (carrier_id <> $2 OR place_id <> $3) ORDER BY name LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the devices of a file are, and where they stand: nobody's and nowhere by default.

    A foreign network, and a device at no place, count for no goal.
    """

    carrier_id: int = FOREIGN_CARRIER
    place_id: int = UNPLACED


async def find_village(connection: asyncpg.Connection[Any], code: str, vintage: str) -> int:
    """The place of a village. Raises `ShudaoError` when the registry has none of that code."""
    place_id = await connection.fetchval(
        "SELECT place_id FROM place"
        " WHERE kind = 'village' AND vintage = $1::text::date AND code = $2",
        vintage,
        code,
    )
    if place_id is None:
        raise ShudaoError(
            f"the registry of {vintage} has no village {code}",
            "look it up with `shudao registry find NAME`; is the registry loaded?",
        )
    return int(place_id)


async def register(
    connection: asyncpg.Connection[Any], names: set[str], technology_id: int, owner: Owner
) -> int:
    """Register those that are not yet, and tell how many were new.

    Raises `ShudaoError` when one is registered for another carrier or place: an import moves
    nobody.
    """
    listed = sorted(names)
    new = await connection.fetch(_REGISTER, listed, owner.carrier_id, owner.place_id, technology_id)
    other = await connection.fetchrow(_OTHERS, listed, owner.carrier_id, owner.place_id)
    if other is not None:
        raise ShudaoError(
            f"device {other['name']} is registered already,"
            f" with {_carrier(other['carrier_id'])} at place {other['place_id']}",
            "give the --carrier and --place of the first time, or use another database",
        )
    return len(new)


def _carrier(carrier_id: int) -> str:
    return "no carrier" if carrier_id == FOREIGN_CARRIER else Carrier(carrier_id).name.lower()
