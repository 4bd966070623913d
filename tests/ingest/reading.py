"""Read from a source as a pipeline would, publish to it, and look at its session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.batch import Message
from ingest.sources import RawBatch, Source, SourceOptions
from ingest.sources.aiomqtt import AiomqttSource
from ingest.sources.mqtt5 import Mqtt5Source

SOURCES: dict[str, Callable[[SourceOptions], Source]] = {
    "mqtt5": Mqtt5Source,
    "aiomqtt-5": AiomqttSource,
    "aiomqtt-3.1.1": lambda options: AiomqttSource(options, ProtocolVersion.V311),
}
PATIENCE_S = 15.0


class Reader:
    """Takes batch after batch of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.unacknowledged: list[RawBatch] = []
        self._batches = source.batches()
        self._next = asyncio.ensure_future(anext(self._batches))

    async def connected(self) -> None:
        await until(lambda: self.source.connected or self._next.done())
        if self._next.done():
            self._next.result()

    async def batch(self, patience_s: float = PATIENCE_S) -> RawBatch:
        """The next one. Raises `TimeoutError`, and `StopAsyncIteration` at the end."""
        async with asyncio.timeout(patience_s):
            batch = await asyncio.shield(self._next)
        self._next = asyncio.ensure_future(anext(self._batches))
        return batch

    async def receive(self, count: int, *, acknowledge: bool = True) -> list[Message]:
        """That many messages or, where a batch brings more, a few more."""
        messages: list[Message] = []
        while len(messages) < count:
            batch = await self.batch()
            messages += batch.messages
            if acknowledge:
                await batch.acknowledge()
            else:
                self.unacknowledged.append(batch)
        return messages

    async def rest(self, quiet_s: float = 0.8) -> list[Message]:
        """What still comes until nothing does for a while, acknowledged."""
        messages: list[Message] = []
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            while True:
                batch = await self.batch(quiet_s)
                messages += batch.messages
                await batch.acknowledge()
        return messages

    async def close(self) -> None:
        """Leave at once, as a reader who fails does."""
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._batches.aclose()


@contextlib.asynccontextmanager
async def reading(source: Source) -> AsyncIterator[Reader]:
    """A connected reader."""
    reader = Reader(source)
    try:
        await reader.connected()
        yield reader
    finally:
        await reader.close()


async def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait for a condition; fails the test when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a source has no event for it
            await asyncio.sleep(0.01)


def client(url: str, **options: Any) -> aiomqtt.Client:
    """A plain MQTT 5 client."""
    parts = urlsplit(url)
    options = {"protocol": ProtocolVersion.V5, **options}
    return aiomqtt.Client(parts.hostname or "", parts.port or 1883, **options)


async def publish(
    url: str, topic: str, payloads: Iterable[bytes], *, qos: int = 1, content_type: str = ""
) -> None:
    """Publish, and wait until the broker has them."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if content_type:
        properties.ContentType = content_type
    async with client(url) as sender:
        await asyncio.gather(
            *(sender.publish(topic, p, qos=qos, properties=properties) for p in payloads)
        )


async def has_session(url: str, client_id: str) -> bool:
    """Whether the broker keeps a session for that client; afterwards it does not."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x00\x00\x3c" + len(name).to_bytes(2, "big") + name
    writer.write(bytes([0x10, len(body)]) + body)
    connack = await reader.readexactly(4)
    writer.write(b"\xe0\x00")
    writer.close()
    async with client(url, identifier=client_id, clean_start=True):
        return bool(connack[2])


def payloads(messages: Iterable[Message]) -> list[bytes]:
    return [m.payload for m in messages]
