"""From decoded samples to a receipt: look up, check, locate, write, and try again.

The one path into the database, shared by MQTT, file import and HTTP push.

- A temporary failure (database away, restarting, silent, deadlock, disk full) is retried with
  growing pauses until it works; nothing is dropped meanwhile, because nothing was acknowledged.
- Messages that the database refuses are found by halving and quarantined, so that one of them
  cannot stop the stream; what cannot even be quarantined is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import structlog

from ingest.batch import Batch, Message, Refusal, Samples
from ingest.check import Limits, check
from ingest.decode import decode
from ingest.directory import Directory
from ingest.locate import Locator
from ingest.reasons import Reason
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
    asyncpg.ReadOnlySQLTransactionError,  # a replica that was or is not yet the primary
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
)
"""Failures that pass by themselves."""
PERMANENT = (asyncpg.PostgresError, ValueError, OverflowError)
"""Of what is left: the database refuses the data, and will do so again."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_SILENCE_S = 60
"""A database that says nothing for so long is taken for away; no statement of ours takes it."""
_KEPT_BYTES = 65_536
"""Of the payload of a message that could not be stored."""


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
        self._one_at_a_time = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(*TEMPORARY):
                await self._connection.close(timeout=5)
            await self._abandon()

    async def store_messages(self, messages: Sequence[Message]) -> Receipt:
        """Decode and store messages; returns after the commit.

        Raises what the database raises when it refuses even to quarantine a message.
        """
        try:
            return await self._until_done(lambda: self._store_messages(messages))
        except PERMANENT as error:
            log.error("the database refuses a batch, looking for the message", error=str(error))
            return await self._isolate(messages, error)

    async def _isolate(self, messages: Sequence[Message], error: Exception) -> Receipt:
        """Store all messages but those that the database refuses; these are quarantined."""
        if len(messages) > 1:
            total, half = Receipt(), len(messages) // 2
            total.add(await self.store_messages(messages[:half]))
            total.add(await self.store_messages(messages[half:]))
            return total
        [m] = messages
        refusal = Refusal(
            Reason.UNSTORABLE, str(error), m.topic, m.payload[:_KEPT_BYTES], 0, m.received_ms,
            0, "", "",
        )  # fmt: skip
        return await self._until_done(lambda: self._store([], [refusal]))

    async def store_samples(
        self, samples: Sequence[Samples], refusals: Sequence[Refusal] = ()
    ) -> Receipt:
        """Store decoded samples, and quarantine what the decoder refused, after one commit."""
        return await self._until_done(lambda: self._store(samples, refusals))

    async def _until_done(self, attempt: Callable[[], Awaitable[Receipt]]) -> Receipt:
        pause = _FIRST_PAUSE_S
        async with self._one_at_a_time:
            while True:
                try:
                    return await attempt()
                except TEMPORARY as error:
                    # What broke a transaction tells more than that it is broken.
                    broken = isinstance(error, asyncpg.InterfaceError)
                    cause = (broken and error.__context__) or error
                    log.warning(
                        "not stored yet, trying again; nothing is acknowledged meanwhile",
                        error=str(cause) or type(cause).__name__,
                    )
                    await self._abandon()
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _abandon(self) -> None:
        """Forget a connection in an unknown state."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._writer = None

    async def _ready(self) -> tuple[asyncpg.Connection[Any], Writer]:
        if self._connection is None or self._writer is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=10,
                command_timeout=_SILENCE_S,
                # A worker that died must not hold its locks for long.
                server_settings={
                    "idle_in_transaction_session_timeout": f"{_SILENCE_S}s",
                    "tcp_keepalives_idle": "30",
                },
            )
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
