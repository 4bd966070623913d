"""One connection to a broker: what it received, in order, and what of it is acknowledged.

Messages stay here until a batch is taken, and a batch is taken without an await: so a reader who
is cancelled, wherever that is, loses nothing.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from itertools import accumulate
from operator import itemgetter
from typing import Any

import numpy as np

from ingest.batch import Message
from ingest.sources.failures import LostError, RefusedError

SETTLE_S = 5.0
"""How long the broker may take to read what was sent before we leave."""
BATCH_BYTES = 2 * 2**20
"""A batch also closes at this much payload: what one transaction decodes and writes."""
WAITING_BYTES = 64 * 2**20
"""So much payload may wait here; beyond it the socket is not read."""
PUBREC, PUBCOMP = 0x1000_0000, 0x3000_0000
"""Beside the packet id of a message of QoS 2: what acknowledges it instead of a PUBACK."""
_PUBACK = 0x4002_0000
_payload = itemgetter(Message._fields.index("payload"))


def acknowledgements(ids: list[int]) -> bytes:
    """The packets that acknowledge: four bytes each, 40 02 (50 02, 70 02) and the packet id.

    0 stands for a message of QoS 0, which is not acknowledged.
    """
    words = np.array(ids, dtype=np.uint32)
    packets: bytes = (words[words != 0] | np.uint32(_PUBACK)).astype(">u4").tobytes()
    return packets


def _size(messages: list[Message]) -> int:
    """Bytes of payload."""
    return sum(map(len, map(_payload, messages)))


class Connection(ABC):
    """What a source reads from between connecting and losing the connection.

    Args:
        receive_maximum: messages in flight, beyond which those of QoS 0 are dropped.
        on_drop: told how many were.
    """

    def __init__(self, receive_maximum: int, on_drop: Callable[[int], None]) -> None:
        self.session_present = False
        """Whether the broker kept a session of ours."""
        self.lost: LostError | RefusedError | None = None
        """Why nothing more will come."""
        self.taken = 0
        """Messages in batches that are not acknowledged yet."""
        self.since = 0.0
        """When the first of those that wait came (or the last batch was taken, if later)."""
        self.active = 0.0
        """When something was last received or acknowledged, on the event loop's clock."""
        self._leaving = False
        self._asking: asyncio.Task[None] | None = None
        self._receive_maximum = receive_maximum
        self._on_drop = on_drop
        self._waiting: list[Message] = []
        self._ids: list[int] = []
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        self._condition: Callable[[], object] = bool

    @property
    def waiting(self) -> int:
        """Messages received and not taken."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Messages received and not acknowledged."""
        return len(self._waiting) + self.taken

    @property
    def is_full(self) -> bool:
        """Whether reading should stop until some are taken or acknowledged."""
        return self._bytes >= WAITING_BYTES and not self._leaving

    def has(self, messages: int) -> bool:
        """Whether enough waits for a batch of at most that many."""
        return len(self._waiting) >= messages or self._bytes >= BATCH_BYTES

    def receive(self, messages: list[Message], ids: list[int]) -> None:
        """Keep what one read of the socket brought; ``ids`` as in `acknowledgements`."""
        if self._leaving:
            return  # not acknowledged, so the next one gets it
        if self.in_flight + len(messages) > self._receive_maximum:
            messages, ids = self._without_excess(messages, ids)
        now = self.active = self._loop.time()
        if not self._waiting:
            self.since = now
        self._waiting += messages
        self._ids += ids
        self._bytes += _size(messages)
        self.wake()

    def take(self, most: int) -> tuple[list[Message], list[int]]:
        """Those that wait longest, at most ``most`` and `BATCH_BYTES`; and their ids."""
        count = min(most, len(self._waiting))
        if self._bytes > BATCH_BYTES:
            count = self._fitting(count)
        messages, ids = self._waiting[:count], self._ids[:count]
        del self._waiting[:count], self._ids[:count]
        self._bytes = self._bytes - _size(messages) if self._waiting else 0
        self.taken += count
        self.since = self._loop.time()
        return messages, ids

    async def acknowledge(self, ids: list[int]) -> None:
        """Acknowledge a batch, once; nothing is done when the connection is gone."""
        if self.lost or not ids:
            return
        self._send(acknowledgements(ids))
        self.taken -= len(ids)
        self.active = self._loop.time()
        ids.clear()  # a second call must not acknowledge what has the same id by then
        self.wake()
        await self._sent()

    async def until(self, condition: Callable[[], object], seconds: float | None = None) -> None:
        """Wait until the condition holds or the time is over; one caller at a time.

        It is looked at whenever something arrives, is acknowledged, or `wake` is called.
        """
        if condition():
            return
        self._reader, self._condition = self._loop.create_future(), condition
        try:
            await asyncio.wait([self._reader], timeout=seconds)
        finally:
            self._reader = None

    def wake(self) -> None:
        """Let a waiting `until` look again."""
        if self._reader is not None and not self._reader.done() and self._condition():
            self._reader.set_result(None)

    def ask(self, request: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have a request answered while messages are read: what the session kept comes first.

        The connection counts as lost when the request fails.
        """

        def look(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and isinstance(done.exception(), LostError | RefusedError):
                self.lost = self.lost or done.exception()  # type: ignore[assignment]
            self.wake()

        self._asking = asyncio.create_task(request, name="subscribe")
        self._asking.add_done_callback(look)
        return self._asking

    async def close(self, *, end_session: bool = False) -> None:
        """Leave, when the broker has read what was sent; the session stays unless it is ended."""
        if self._asking is not None:
            self._asking.cancel()
        self._leaving = True
        try:
            if self.lost is None:
                await self._settle()
        finally:
            await self._leave(end_session=end_session)

    @abstractmethod
    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe with QoS 1. Raises `RefusedError`, `LostError`."""

    @abstractmethod
    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; that there was no such subscription is fine too. Raises `LostError`."""

    @abstractmethod
    async def _settle(self) -> None:
        """Wait until the broker has read everything that was sent, if it does so soon.

        Acknowledgements that it has not read are void once the same client connects again: it
        takes the session over, and delivers again.
        """

    @abstractmethod
    async def _leave(self, *, end_session: bool) -> None:
        """Disconnect, and close the socket in any case."""

    @abstractmethod
    def _send(self, packets: bytes) -> None:
        """Hand bytes to the socket."""

    @abstractmethod
    async def _sent(self) -> None:
        """Wait while the socket takes nothing more."""

    def _fitting(self, most: int) -> int:
        """How many of those that wait longest make up `BATCH_BYTES`."""
        sizes = accumulate(map(len, map(_payload, self._waiting[:most])))
        return next((n for n, size in enumerate(sizes, 1) if size >= BATCH_BYTES), most)

    def _without_excess(
        self, messages: list[Message], ids: list[int]
    ) -> tuple[list[Message], list[int]]:
        """All of QoS 1 and 2, which the broker bounds, and of QoS 0 as many as there is room."""
        room = self._receive_maximum - self.in_flight
        kept: list[tuple[Message, int]] = []
        for message, number in zip(messages, ids, strict=True):
            if number or len(kept) < room:
                kept.append((message, number))
        if len(kept) < len(messages):
            self._on_drop(len(messages) - len(kept))
        return [m for m, _ in kept], [n for _, n in kept]
