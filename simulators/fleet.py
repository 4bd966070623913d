"""Publish traffic to an MQTT broker: at a chosen rate, over a few gateway connections.

What it promises:
- QoS 1: a message is counted as acknowledged only at its PUBACK, and one that was not
  acknowledged when a connection broke is published again (a duplicate is fine, a loss is not);
- when the broker is slower than the rate, fewer messages are made: memory stays flat, nothing is
  dropped, and the report tells the rate that was achieved;
- `stop` makes no more messages and waits for the PUBACKs of those under way, for a bounded time;
- a source that ends has all its messages published, then `run` returns.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import uuid4

import aiomqtt

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError
from simulators.broker import Gateway, content_type, gateway
from simulators.messages import Message
from simulators.report import Tally

WINDOW = 64
"""Messages that a gateway has under way."""

_TICK_S = 0.02
_CANCEL_AGAIN_S = 2.0
_LONGEST_PAUSE_S = 5.0


class Source(Protocol):
    """What there is to publish: `simulators.traffic.Traffic`, say."""

    def take(self, count: int, now_ms: int) -> list[Message] | None:
        """The next messages, about ``count``, perhaps none just now; None when there is no more."""
        ...


class Fleet:
    """Publishes what a source has until it ends, or is stopped.

    Args:
        url: mqtt://[user:password@]host:port, or mqtts:// for TLS.
        source: what to publish.
        rate: messages a second, at most.
        connections: gateways that share the load.
        patience_s: how long `run` waits for PUBACKs after `stop`.
        on_sent: called with each message that is first handed to the broker, and the time in ms.
    """

    def __init__(
        self,
        url: str,
        source: Source,
        *,
        rate: float,
        connections: int = 4,
        patience_s: float = 15.0,
        on_sent: Callable[[Message, int], None] | None = None,
    ) -> None:
        self.tally = Tally()
        self._url, self._source, self._rate = url, source, rate
        self._connections, self.patience_s = connections, patience_s
        self._on_sent = on_sent
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Publish no more."""
        self._stopping.set()

    async def run(self, *beside: Coroutine[Any, Any, None]) -> None:
        """Publish until the source ends or `stop`, then wait for what is under way.

        ``beside`` is work for the same time, such as `Registrar.run`; its failure is ours. Raises
        `ShudaoError` when the broker refuses messages, or did not acknowledge all in time.
        """
        name = f"shudao-simulate-{uuid4().hex[:8]}"
        gateways = [self._gateway(f"{name}-{i}") for i in range(self._connections)]
        work = [asyncio.create_task(coroutine) for coroutine in (*gateways, *beside)]
        phases = (self._make, self._all_acknowledged)
        try:
            for phase in phases:
                task = asyncio.create_task(phase())
                try:
                    await _first_to_end(task, *work)
                finally:
                    await _cancel(task)
        finally:
            await _cancel(*work)

    async def _make(self) -> None:
        """Fill the queue at the chosen rate, never more than half a second ahead."""
        most = max(WINDOW * self._connections, int(self._rate / 2))
        due, last = 0.0, time.monotonic()
        while not self._stopping.is_set():
            now = time.monotonic()
            due = min(due + (now - last) * self._rate, most)
            last = now
            count = min(int(due), most - self._queue.qsize())
            if count > 0:
                due -= count
                messages = self._source.take(count, time.time_ns() // 1_000_000)
                if messages is None:
                    return
                for message in messages:
                    self._queue.put_nowait(message)
            await asyncio.sleep(_TICK_S)

    def _forget_unsent(self) -> None:
        """Drop what no broker was given yet; what must be sent again stays."""
        kept = []
        while not self._queue.empty():
            message = self._queue.get_nowait()
            self._queue.task_done()
            if message.attempts:
                kept.append(message)
        for message in kept:
            self._queue.put_nowait(message)

    async def _all_acknowledged(self) -> None:
        if self._stopping.is_set():
            self._forget_unsent()
        try:
            await asyncio.wait_for(self._queue.join(), self.patience_s)
        except TimeoutError:
            raise ShudaoError(
                f"{self.tally.unacknowledged} messages were not acknowledged"
                f" by the MQTT broker at {broker_address(self._url)}",
                "see that the broker runs; these messages may or may not have reached it",
            ) from None

    async def _gateway(self, identifier: str) -> None:
        """One connection, taken up again with growing, jittered pauses when it breaks."""
        pause = 0.2
        while True:
            try:
                async with gateway(self._url, identifier, WINDOW) as client:
                    pause = 0.2
                    await self._publish_until_broken(client)
            except aiomqtt.MqttError:
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _publish_until_broken(self, client: Gateway) -> None:
        workers = [asyncio.create_task(self._publish(client)) for _ in range(WINDOW)]
        broken = asyncio.create_task(_wait_until_broken(client))
        try:
            await _first_to_end(broken, *workers)
        finally:
            await _cancel(broken, *workers)

    async def _publish(self, client: Gateway) -> None:
        """Publish one message after the other; one that fails goes back into the queue."""
        while True:
            message = await self._queue.get()
            self.tally.sent(message)
            if self._on_sent and message.attempts == 1:
                self._on_sent(message, time.time_ns() // 1_000_000)
            acknowledged = False
            try:
                await client.publish(
                    message.topic,
                    message.payload,
                    qos=1,
                    properties=content_type(message.content_type),
                )
                acknowledged = not client.refusal
            finally:
                if not acknowledged:
                    self._queue.put_nowait(message)
                self._queue.task_done()
            if client.refusal:
                raise ShudaoError(
                    f"the MQTT broker at {broker_address(self._url)} refuses messages"
                    f" ({client.refusal})",
                    "let this user publish to shudao/v1/#, or set another in SHUDAO_MQTT_URL",
                )
            self.tally.acknowledged(message)


async def _wait_until_broken(client: Gateway) -> None:
    """Raises MqttError when the connection breaks; we subscribe to nothing."""
    async for _ in client.messages:
        pass


async def _first_to_end(*tasks: asyncio.Task[None]) -> None:
    """Wait until one of the tasks ends; raise its error if it has one."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have ended, however they do.

    Again and again: in Python 3.11 `asyncio.wait_for`, which aiomqtt uses, loses a cancellation
    that comes in the moment in which it ends.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: who needs it has raised it by `_first_to_end`
