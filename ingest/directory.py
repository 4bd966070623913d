"""What the database knows about devices and places, kept in memory for the ingest path.

Devices are looked up by name the first time that they send; a name that is not found is asked
again with every batch, so a device may be registered while samples arrive. Everything is
forgotten every ``max_age_s``, so a device that moves to another place is noticed.
"""

from __future__ import annotations

import time
from itertools import repeat
from typing import Any, NamedTuple

import asyncpg
import numpy as np

from ingest.batch import Ints


class Devices(NamedTuple):
    """Columns of the devices behind a list of names; ``device_id`` is 0 where unknown."""

    device_id: Ints
    place_id: Ints
    carrier_id: Ints
    technology_id: Ints
    county: Ints
    """Of the place, 0 where there is none."""


class Directory:
    """Look-ups from names and ids to columns."""

    def __init__(self, *, max_age_s: float = 300.0) -> None:
        self.metrics: dict[str, int] = {}
        self._max_age_s = max_age_s
        self._loaded_at = -np.inf
        self._slots: dict[str, int] = {}
        self._rows = np.zeros((1, 5), np.int64)  # slot 0: unknown device

    async def refresh(self, connection: asyncpg.Connection[Any]) -> None:
        """Forget what is old, and know the metrics."""
        if time.monotonic() - self._loaded_at > self._max_age_s:
            await self._reload(connection)

    async def devices(self, connection: asyncpg.Connection[Any], names: list[str]) -> Devices:
        """The named devices; zeros for those that are not registered."""
        slots = [*map(self._slots.get, names)]
        if None in slots:
            missing = {name for name, slot in zip(names, slots, strict=True) if slot is None}
            await self._load_devices(connection, sorted(missing))
            slots = [*map(self._slots.get, names, repeat(0))]
        return Devices(*self._rows[np.array(slots, np.intp)].T)

    async def _reload(self, connection: asyncpg.Connection[Any]) -> None:
        self.metrics = {
            r["name"]: r["metric_id"]
            for r in await connection.fetch("SELECT name, metric_id FROM metric")
        }
        self._slots.clear()
        self._rows = self._rows[:1]
        self._loaded_at = time.monotonic()

    async def _load_devices(self, connection: asyncpg.Connection[Any], names: list[str]) -> None:
        found = await connection.fetch(
            "SELECT d.name, device_id, place_id, carrier_id, technology_id,"
            " coalesce(county, 0) AS county"
            " FROM device d LEFT JOIN place USING (place_id) WHERE d.name = ANY($1::text[])",
            [n for n in names if _is_text(n)],
        )
        if not found:
            return
        first = len(self._rows)
        self._rows = np.concatenate([self._rows, np.array([tuple(r)[1:] for r in found], np.int64)])
        self._slots.update((r["name"], first + i) for i, r in enumerate(found))


def _is_text(name: str) -> bool:
    """Whether PostgreSQL could hold it: no NUL, no lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name
