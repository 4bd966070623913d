"""Import a recorded file: read, convert, register its devices, store, chunk by chunk.

What this module promises:
- each chunk is one transaction; stopping, or a failure, leaves whole chunks behind;
- a line that was imported before is a duplicate and changes no number, so an import that was
  stopped is simply run again;
- read = stored + duplicates + quarantined, of every import.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np

from ingest.check import Limits, check
from ingest.directory import Devices
from ingest.ingester import Ingester
from ingest.receipt import Receipt
from ingest.recorded.convert import Converter
from ingest.recorded.devices import Owner, find_village, register
from ingest.recorded.load import NamedProfile
from ingest.recorded.read import RecordedFile, open_recorded
from shudao.database import connect
from shudao.errors import ShudaoError
from shudao.vocabulary import FOREIGN_CARRIER, TECHNOLOGY_IDS, Technology

CHUNK_ROWS = 5_000
"""A test every half hour is then 104 days: as many daily chunks to lock in one transaction."""
NO_LIMITS = Limits(max_ahead_ms=None, max_age_ms=None)
"""Recordings are old."""

Progress = Callable[[RecordedFile, Receipt], None]


def _silent(_file: RecordedFile, _receipt: Receipt) -> None:
    pass


@dataclass(slots=True)
class Imported:
    """What became of a file."""

    file: str
    topic: str
    receipt: Receipt = field(default_factory=Receipt)
    new_devices: int = 0
    seconds: float = 0.0
    complete: bool = True
    """False: stopped before the end."""


class Importer:
    """Imports one file, through the path that every sample takes.

    Args:
        path: the file, or ``-`` for standard input.
        named: its profile.
        carrier_id: one of the four, for a recording of one's own; else a foreign network.
        place: code of a village where the devices stand, with a carrier only.
        progress: called after every chunk.
    """

    def __init__(
        self,
        path: str,
        named: NamedProfile,
        *,
        carrier_id: int = FOREIGN_CARRIER,
        place: str | None = None,
        progress: Progress = _silent,
    ) -> None:
        self._path = path
        self._named = named
        self._carrier_id = carrier_id
        self._place = place
        self._progress = progress
        self._stopping = False
        if place is not None and carrier_id == FOREIGN_CARRIER:
            raise ShudaoError(
                "a foreign network stands at no place of ours",
                "add --carrier, or leave out --place",
            )

    def stop(self) -> None:
        """Finish the chunk in hand, then return."""
        self._stopping = True

    async def run(self, url: str, vintage: str) -> Imported:
        """Store the file. Raises `ShudaoError`."""
        begun = time.monotonic()
        with open_recorded(self._path, self._named.profile.format) as file:
            converter = self._converter(file)
            owner = await self._owner(url, vintage)
            async with aclosing(Ingester(url, origin="import", limits=NO_LIMITS)) as ingester:
                imported = await self._store(file, converter, ingester, _Registrar(url, owner))
                await ingester.roll_up()
        imported.seconds = time.monotonic() - begun
        return imported

    async def _store(
        self, file: RecordedFile, converter: Converter, ingester: Ingester, registrar: _Registrar
    ) -> Imported:
        imported = Imported(file.name, converter.topic)
        technology_id = TECHNOLOGY_IDS[self._named.profile.technology]
        for records in file.chunks(CHUNK_ROWS):
            samples, refusals = converter.convert(records, time.time_ns() // 1_000_000)
            imported.new_devices += await registrar.register(set(samples.device), technology_id)
            imported.receipt.add(await ingester.store_samples([samples], refusals))
            self._progress(file, imported.receipt)
            if self._stopping:
                imported.complete = False
                break
        return imported

    def check(self) -> Imported:
        """Read and check the file without a database: ``stored`` counts what would be, if new."""
        begun = time.monotonic()
        with open_recorded(self._path, self._named.profile.format) as file:
            converter = self._converter(file)
            imported = Imported(file.name, converter.topic)
            for records in file.chunks(CHUNK_ROWS):
                now_ms = time.time_ns() // 1_000_000
                samples, refusals = converter.convert(records, now_ms)
                devices = _any_devices(len(samples), self._carrier_id)
                checked, refused = check(samples, devices, now_ms, NO_LIMITS)
                reasons = Counter(r.reason.value for r in [*refusals, *refused])
                imported.receipt.add(Receipt(len(records), len(checked.rows), 0, reasons))
                self._progress(file, imported.receipt)
        imported.seconds = time.monotonic() - begun
        return imported

    def _converter(self, file: RecordedFile) -> Converter:
        return Converter(self._named, file.header, file.name, self._carrier_id)

    async def _owner(self, url: str, vintage: str) -> Owner:
        connection = await connect(url)  # fails at once, with a clear line, if it is not there
        try:
            if await connection.fetchval("SELECT to_regclass('device')") is None:
                raise ShudaoError("the database has no schema", "run `shudao db migrate`")
            if self._place is None:
                return Owner(self._carrier_id)
            return Owner(self._carrier_id, await find_village(connection, self._place, vintage))
        finally:
            await connection.close()


class _Registrar:
    """Registers the devices of a file, each when it first appears."""

    def __init__(self, url: str, owner: Owner) -> None:
        self._url = url
        self._owner = owner
        self._known: set[str] = set()

    async def register(self, names: set[str], technology_id: int) -> int:
        """How many were new. Raises `ShudaoError`."""
        if not (unseen := names - self._known):
            return 0
        connection = await connect(self._url)
        try:
            new = await register(connection, unseen, technology_id, self._owner)
        finally:
            await connection.close()
        self._known |= unseen
        return new


def _any_devices(count: int, carrier_id: int) -> Devices:
    """Every device taken as registered."""
    ones = np.ones(count, np.int64)
    nothing = ones * 0
    return Devices(ones, nothing, ones * carrier_id, ones * Technology.NBIOT, nothing)
