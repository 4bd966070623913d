"""From messages to a receipt: look up, check, locate, write, and try again.

The one path into the database, shared by MQTT, file import and HTTP push.

- A temporary failure (database away, restarting, silent, deadlock, disk full) is retried with
  growing pauses until it works; nothing is dropped meanwhile, because nothing was acknowledged.
- Samples that the database refuses are found by halving and quarantined, so that one of them
  cannot stop the stream; what cannot even be quarantined is raised.
- Preparing a batch (`prepare`) and writing one (`write`) use a connection each, so that one batch
  is decoded while the one before it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import structlog

from ingest.batch import Batch, Message, Refusal, Samples
from ingest.check import Limits, check
from ingest.decode import decode
from ingest.directory import Directory
from ingest.link import Link
from ingest.locate import Locator
from ingest.merge import Merger
from ingest.reasons import Reason
from ingest.receipt import Receipt
from ingest.register import register_on_sight
from ingest.writer import Writer
from shudao.settings import Settings, get_settings

log = structlog.get_logger(__name__)

PERMANENT = (asyncpg.PostgresError, ValueError, OverflowError)
"""Of what is not temporary: the database refuses the data, and will do so again."""
_KEPT_BYTES = 65_536
"""Of the payload of a sample that could not be stored."""


class Ingester:
    """Stores samples, exactly once each.

    Args:
        url: the database.
        origin: what the ledger calls the way that the samples came: mqtt, import or push.
        limits: how far a sample's time may lie from now; the settings' by default.
        settings: the process's by default.
    """

    def __init__(
        self,
        url: str,
        *,
        origin: str,
        limits: Limits | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or get_settings()
        self._origin = origin
        self._limits = limits or Limits(
            settings.max_ahead_s * 1000, settings.max_age_days * 86_400_000
        )
        self._auto_register = settings.auto_register_ids
        self._directory = Directory()
        self._locator = Locator(settings.vintage)
        self._reading = Link(url, _itself)
        self._writing = Link(url, Writer)
        # One statement merges up to millions of rows, and may find the machine busy.
        self._merging = Link(url, Merger, silence_s=900)

    async def aclose(self) -> None:
        """Close the connections."""
        for link in (self._reading, self._writing, self._merging):
            await link.aclose()

    @property
    def database_answers(self) -> bool:
        """Whether the last attempt at the database succeeded."""
        return self._reading.answers and self._writing.answers and self._merging.answers

    @property
    def database_answered(self) -> bool:
        """Whether the database was reached at least once, and answers."""
        return self.database_answers and any(
            link.was_reached for link in (self._reading, self._writing, self._merging)
        )

    async def store_messages(self, messages: Sequence[Message]) -> Receipt:
        """Decode and store messages; returns after the commit.

        Raises what the database raises when it refuses even to quarantine a sample.
        """
        return await self.write(await self.prepare(messages))

    async def store_samples(
        self, samples: Sequence[Samples], refusals: Sequence[Refusal] = ()
    ) -> Receipt:
        """Store decoded samples, and quarantine what the decoder refused, after one commit."""
        return await self.write(
            await self._reading.use(lambda c: self._check(c, samples, refusals))
        )

    async def prepare(self, messages: Sequence[Message]) -> Batch:
        """Decode, look up, check and locate: all that comes before the transaction."""

        async def attempt(connection: asyncpg.Connection[Any]) -> Batch:
            await self._directory.refresh(connection)
            samples, refusals = decode(messages, self._directory.metrics)
            return await self._check(connection, samples, refusals)

        return await self._reading.use(attempt)

    async def _check(
        self,
        connection: asyncpg.Connection[Any],
        samples: Sequence[Samples],
        refusals: Sequence[Refusal],
    ) -> Batch:
        await self._directory.refresh(connection)
        await self._locator.prepare(connection)
        now_ms = time.time_ns() // 1_000_000
        batch = Batch(refusals=list(refusals))
        for s in samples:
            devices = await self._directory.devices(connection, s.device)
            if self._auto_register and await register_on_sight(
                connection, s, devices, self._auto_register
            ):
                devices = await self._directory.devices(connection, s.device)
            checked, refused = check(s, devices, now_ms, self._limits)
            batch.checked.append(self._locator.locate(checked))
            batch.refusals += refused
        return batch

    async def write(self, batch: Batch) -> Receipt:
        """Commit a prepared batch.

        Raises what the database raises when it refuses even to quarantine a sample.
        """
        try:
            return await self._commit(batch)
        except PERMANENT as error:
            log.error("the database refuses a batch, looking for the samples", error=str(error))
            return await self._isolate(batch, error)

    async def _commit(self, batch: Batch) -> Receipt:
        return await self._writing.use(lambda writer: writer.write(batch, self._origin))

    async def _isolate(self, batch: Batch, error: Exception) -> Receipt:
        """Store all samples of a refused batch but the guilty ones; these are quarantined."""
        if len(batch) == 1:
            return await self._commit(_quarantine_only(batch, error))
        total = Receipt()
        for half in batch.halves():
            try:
                total.add(await self._commit(half))
            except PERMANENT as cause:
                total.add(await self._isolate(half, cause))
        return total

    async def roll_up(self) -> int:
        """Bring the roll-ups up to date with all that was stored; how many samples that were."""
        return await self._merging.use(lambda merger: merger.merge_all())

    async def roll_up_minutes(self) -> int | None:
        """One step of it for the minutes: None where another process is at it, 0: nothing waits."""
        return await self._merging.use(lambda merger: merger.merge_minutes())

    async def roll_up_hours(self) -> int | None:
        """One step of it for the hours; as `roll_up_minutes`."""
        return await self._merging.use(lambda merger: merger.merge_hours())


def _itself(connection: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    return connection


def _quarantine_only(batch: Batch, error: Exception) -> Batch:
    """The one sample of a batch as a refusal. Raises ``error`` where it is one already."""
    for checked in batch.checked:
        if len(checked):
            refusal = checked.refuse(0, Reason.UNSTORABLE, str(error))
            return Batch(refusals=[replace(refusal, payload=refusal.payload[:_KEPT_BYTES])])
    raise error
