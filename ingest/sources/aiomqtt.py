"""The portable source: aiomqtt, MQTT 5, any broker, acknowledged by hand.

What it promises:
- a message is acknowledged (PUBACK) only when `RawBatch.acknowledge` is called;
- the session is persistent: what arrives while we are away is kept by the broker, and what was
  not acknowledged is delivered again after a reconnect;
- at most ``receive_maximum`` messages are in flight, so memory stays bounded when the database
  is slow; the network loop goes on meanwhile and keeps the session alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncGenerator
from urllib.parse import unquote, urlsplit

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.batch import Message
from ingest.sources import RawBatch
from shudao.errors import ShudaoError

log = structlog.get_logger(__name__)

_POLL_S = 0.005
_LONGEST_PAUSE_S = 10.0
_SESSION_EXPIRY_S = 7 * 86_400
_MANUAL_QOS = (1, 2)


class AiomqttSource:
    """Batches of messages from a broker.

    Args:
        url: mqtt://[user:password@]host:port, or mqtts:// for TLS.
        client_id: names the persistent session; two clients must not share one.
        topic: what to subscribe to.
        batch_messages: a batch closes at this many messages …
        batch_ms: … or this long after its first one.
        receive_maximum: unacknowledged messages in flight, 1 to 65,535.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        topic: str = "shudao/v1/#",
        batch_messages: int = 20_000,
        batch_ms: int = 200,
        receive_maximum: int = 20_000,
    ) -> None:
        self._url = url
        self._client_id = client_id
        self._topic = topic
        self._batch_messages = min(batch_messages, receive_maximum)
        self._batch_s = batch_ms / 1000
        self._receive_maximum = receive_maximum
        self._stopping = asyncio.Event()
        self.connected = False
        """Whether the broker answers now."""

    def stop(self) -> None:
        """Take no more messages."""
        self._stopping.set()

    async def batches(self) -> AsyncGenerator[RawBatch, None]:
        """Batches until `stop`. Raises `ShudaoError` if the broker cannot be reached at first.

        After that a lost connection is taken up again with growing, jittered pauses.
        """
        pause, first = 0.5, True
        while not self._stopping.is_set():
            try:
                async with self._client() as client:
                    await client.subscribe(self._topic, qos=1)
                    log.info("subscribed", broker=self._where(), topic=self._topic)
                    self.connected, first, pause = True, False, 0.5
                    async with contextlib.aclosing(self._read(client)) as batches:
                        async for batch in batches:
                            yield batch
            except aiomqtt.MqttError as error:
                if first:
                    raise ShudaoError(
                        f"the MQTT broker at {self._where()} cannot be reached ({error})",
                        "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
                    ) from error
                log.warning("broker away, connecting again", error=str(error), pause_s=pause)
                self.connected = False
                await self._wait(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _where(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.hostname}:{parts.port or 1883}"

    def _client(self) -> aiomqtt.Client:
        parts = urlsplit(self._url)
        tls = parts.scheme == "mqtts"
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        client = aiomqtt.Client(
            parts.hostname or "localhost",
            parts.port or (8883 if tls else 1883),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=ssl.create_default_context() if tls else None,
        )
        # aiomqtt 2.x acknowledges before our code sees a message; paho below it need not.
        client._client.manual_ack_set(True)
        return client

    async def _read(self, client: aiomqtt.Client) -> AsyncGenerator[RawBatch, None]:
        while not self._stopping.is_set():
            received = await self._collect(client)
            if not received:
                continue
            now_ms = time.time_ns() // 1_000_000
            messages = [Message(m.topic.value, _bytes(m.payload), now_ms) for m in received]
            yield RawBatch(messages, lambda r=received: self._acknowledge(client, r))  # type: ignore[misc]

    async def _collect(self, client: aiomqtt.Client) -> list[aiomqtt.Message]:
        """The next messages; [] when there were none for a while.

        The queue is polled and never awaited: a cancelled ``get`` can lose a message.
        """
        queue = client._queue
        deadline = time.monotonic() + self._batch_s
        received: list[aiomqtt.Message] = []
        while len(received) < self._batch_messages and time.monotonic() < deadline:
            if queue.empty():
                if client._disconnected.done():
                    # Of a broken connection nothing can be acknowledged: it all comes again.
                    client._disconnected.result()
                    raise aiomqtt.MqttError("the broker closed the connection")
                if self._stopping.is_set():
                    break
                await asyncio.sleep(_POLL_S)
                continue
            if not received:
                deadline = time.monotonic() + self._batch_s
            received.append(queue.get_nowait())
        return received

    async def _acknowledge(self, client: aiomqtt.Client, messages: list[aiomqtt.Message]) -> None:
        """PUBACK, unless the connection broke meanwhile: then the broker delivers again."""
        for i, message in enumerate(messages):
            if client._disconnected.done():
                return
            if message.qos in _MANUAL_QOS:
                client._client.ack(message.mid, message.qos)
            if i % 500 == 499:
                await asyncio.sleep(0)  # the network loop shares this thread

    async def _wait(self, seconds: float) -> None:
        with_timeout = asyncio.wait_for(self._stopping.wait(), seconds)
        try:
            await with_timeout
        except TimeoutError:
            return


def _bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else b""
