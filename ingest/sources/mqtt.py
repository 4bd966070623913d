"""What both MQTT sources do: connect, subscribe, read batches, connect again, stop, retire."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

import structlog

from ingest.sources import RawBatch, SourceOptions
from ingest.sources.backoff import Backoff
from ingest.sources.connection import Connection
from ingest.sources.failures import (
    BusyError,
    LostError,
    RefusedError,
    TakenOverError,
    unreachable,
)
from shudao.broker_address import BrokerAddress, broker_address
from shudao.errors import ShudaoError

log = structlog.get_logger(__name__)

QUIET_S = 1.0
"""A session that brings nothing for so long, and owes nothing, holds nothing."""


class MqttSource(ABC):
    """Batches of messages from a broker; see `ingest.sources` for what is promised."""

    def __init__(self, options: SourceOptions) -> None:
        self.connected = False
        self.reconnects = 0
        self.dropped = 0
        self._options = options
        self._batch_s = options.batch_ms / 1000
        self._retired = False
        self._batch_messages = min(options.batch_messages, options.receive_maximum)
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None

    @property
    def in_flight(self) -> int:
        """Messages received and not yet acknowledged."""
        return self._connection.in_flight if self._connection else 0

    async def session_exists(self) -> bool:
        """Whether the broker keeps a session of ours; see `ingest.sources.Source`."""
        address = broker_address(self._options.url)
        try:
            connection = await self._connect(address)
        except (LostError, RefusedError) as error:
            _give_up(address, error)
            return False  # the broker is busy: the source will wait for it
        exists = connection.session_present
        await connection.close(end_session=not exists)
        return exists

    def stop(self) -> None:
        """Take no more messages; those already in a batch can still be acknowledged."""
        self._stopping.set()
        if self._connection:
            self._connection.wake()

    async def batches(self) -> AsyncGenerator[RawBatch, None]:
        """Batches, for ever, through reconnects; see `ingest.sources.Source`."""
        address, backoff, first = broker_address(self._options.url), Backoff(), True
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            try:
                connection = await self._ready(address)
            except (LostError, RefusedError) as error:
                if first:
                    _give_up(address, error)
                await self._pause(error, backoff.next_s())
                continue
            if self._options.hold:
                await connection.close()
                return
            self._is_connected(address, connection, first=first)
            first, began = False, clock()
            try:
                async with contextlib.aclosing(self._read(connection)) as batches:
                    async for batch in batches:
                        yield batch
                lost = connection.lost
            finally:
                self.connected = False
                await connection.close(end_session=self._retired)
            if lost is None:
                return
            patient = isinstance(lost, TakenOverError)
            await self._pause(lost, backoff.next_s(lasted_s=clock() - began, patient=patient))

    @abstractmethod
    async def _connect(self, address: BrokerAddress) -> Connection:
        """Connect to the persistent session. Raises `LostError`, `RefusedError`."""

    async def _ready(self, address: BrokerAddress) -> Connection:
        """Connect, and subscribe or (retiring) unsubscribe. Raises as `_connect` does."""
        connection = await self._connect(address)
        topic_filter = self._options.topic_filter
        try:
            if not self._options.retire:
                asking = connection.ask(connection.subscribe(topic_filter))
            elif connection.session_present:
                asking = connection.ask(connection.unsubscribe(topic_filter))
            else:
                return connection
            await connection.until(lambda: asking.done() or connection.lost or connection.is_full)
            await asyncio.wait([asking], timeout=0.1 if connection.lost else 0)
        except BaseException:
            await connection.close()
            raise
        if connection.lost and not (asking.done() and asking.exception() is None):
            await connection.close()
            raise connection.lost
        return connection

    async def _read(self, connection: Connection) -> AsyncGenerator[RawBatch, None]:
        """What a connection brings until it breaks, `stop` is called, or it is retired.

        What was received before it broke is handed on all the same: the broker delivers it again,
        unless it was killed and has forgotten it.
        """
        if self._options.retire and not connection.session_present:
            self._retired = True
            return
        while not self._stopping.is_set():
            await self._collect(connection)
            if self._stopping.is_set():
                break
            if connection.waiting:
                messages, ids = connection.take(self._batch_messages)
                yield RawBatch(messages, functools.partial(connection.acknowledge, ids))
            elif connection.lost:
                return
            elif self._options.retire and self._is_quiet(connection):
                self._retired = True
                return
        await connection.until(lambda: connection.lost or not connection.taken)

    async def _collect(self, connection: Connection) -> None:
        """Wait until a batch can be taken (or there is none, for a reason or for a while)."""

        def is_over() -> object:
            return connection.lost or self._stopping.is_set()

        await connection.until(
            lambda: connection.waiting or is_over(), QUIET_S if self._options.retire else None
        )
        age_s = asyncio.get_running_loop().time() - connection.since
        if connection.waiting and age_s < self._batch_s:
            await connection.until(
                lambda: connection.has(self._batch_messages) or is_over(), self._batch_s - age_s
            )

    def _is_quiet(self, connection: Connection) -> bool:
        """Whether a session that is being retired holds nothing more."""
        silent_s = asyncio.get_running_loop().time() - connection.active
        return not connection.in_flight and silent_s >= QUIET_S

    def _is_connected(self, address: BrokerAddress, connection: Connection, *, first: bool) -> None:
        self._connection, self.connected = connection, True
        self.reconnects += not first
        if self._options.retire and not connection.session_present:
            return  # nothing is there, which is nothing to tell
        log.info(
            "retiring" if self._options.retire else "subscribed",
            broker=str(address),
            topic=self._options.topic_filter,
            session_kept=connection.session_present,
        )

    def _on_drop(self, count: int) -> None:
        """Log at 1, 2, 4, 8 … dropped messages."""
        before, self.dropped = self.dropped, self.dropped + count
        if self.dropped.bit_length() > before.bit_length():
            log.warning("QoS 0 messages dropped: too many wait", dropped=self.dropped)

    async def _pause(self, error: LostError | RefusedError, seconds: float) -> None:
        """Say why there is no connection, and wait."""
        if isinstance(error, TakenOverError):
            log.error(
                "session taken over: another client connected with our client id",
                client_id=self._options.client_id,
                todo="stop the other one, or give each its own --client-id",
                pause_s=round(seconds, 1),
            )
        else:
            log.warning(
                "broker away, connecting again", error=str(error), pause_s=round(seconds, 1)
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _give_up(address: BrokerAddress, error: LostError | RefusedError) -> None:
    """Raise `ShudaoError` where the first connection will not come about by waiting."""
    if isinstance(error, RefusedError):
        raise ShudaoError(str(error), error.hint) from error
    if not isinstance(error, BusyError):
        raise unreachable(address, error) from error
