"""From decoded samples to a receipt: look up, check, locate, write, and try again.

The one path into the database, shared by MQTT, file import and HTTP push.

- A temporary failure (database away, restarting, deadlock, disk full) is retried with growing
  pauses until it works; nothing is dropped meanwhile, because nothing was acknowledged.
- A permanent one is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog

from ingest.batch import Batch, Message, Refusal, Samples
from ingest.check import Limits, check
from ingest.decode import decode
from ingest.directory import Directory
from ingest.locate import Locator
from ingest.receipt import Receipt
from ingest.writer import Writer
from shudao.settings import Settings, get_settings

log = structlog.get_logger(__name__)

TEMPORARY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.TransactionRollbackError,  # deadlock, serialisation
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InternalClientError,
)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


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
        self._url = url
        self._origin = origin
        self._limits = limits or Limits(
            settings.max_ahead_s * 1000, settings.max_age_days * 86_400_000
        )
        self._directory = Directory()
        self._locator = Locator(settings.vintage)
        self._connection: asyncpg.Connection[Any] | None = None
        self._writer: Writer | None = None
        self.last_failure: str | None = None
        """Why the database could not be written to just now; None while all is well."""

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = self._writer = None

    async def store_messages(self, messages: Sequence[Message]) -> Receipt:
        """Decode and store messages; returns after the commit."""
        return await self._until_done(lambda: self._store_messages(messages))

    async def store_samples(
        self, samples: Sequence[Samples], refusals: Sequence[Refusal] = ()
    ) -> Receipt:
        """Store decoded samples, and quarantine what the decoder refused, after one commit."""
        return await self._until_done(lambda: self._store(samples, refusals))

    async def _until_done(self, attempt: Any) -> Receipt:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                receipt: Receipt = await attempt()
            except TEMPORARY as error:
                self.last_failure = str(error) or type(error).__name__
                log.warning("database away, nothing is acknowledged", error=self.last_failure)
                await self._abandon()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                self.last_failure = None
                return receipt

    async def _abandon(self) -> None:
        """Forget a connection in an unknown state."""
        if self._connection is not None:
            with contextlib.suppress(*TEMPORARY):
                self._connection.terminate()
        self._connection = self._writer = None

    async def _ready(self) -> tuple[asyncpg.Connection[Any], Writer]:
        if self._connection is None or self._writer is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, timeout=10)
            self._writer = Writer(self._connection)
        return self._connection, self._writer

    async def _store_messages(self, messages: Sequence[Message]) -> Receipt:
        connection, _ = await self._ready()
        await self._directory.prepare(connection, set())
        samples, refusals = decode(messages, self._directory.metrics)
        return await self._store(samples, refusals)

    async def _store(self, samples: Sequence[Samples], refusals: Sequence[Refusal]) -> Receipt:
        connection, writer = await self._ready()
        await self._directory.prepare(connection, {d for s in samples for d in s.device})
        await self._locator.prepare(connection)
        now_ms = time.time_ns() // 1_000_000
        batch = Batch(refusals=list(refusals))
        for s in samples:
            checked, refused = check(s, self._directory, now_ms, self._limits)
            batch.checked.append(self._locator.locate(checked))
            batch.refusals += refused
        return await writer.write(batch, self._origin)
