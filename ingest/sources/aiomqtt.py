"""The portable source: aiomqtt, MQTT 5, any broker, acknowledged by hand.

What it promises:
- a message is acknowledged (PUBACK) only when `RawBatch.acknowledge` is called;
- the session is persistent: what arrives while we are away is kept by the broker, and what was
  not acknowledged is delivered again after a reconnect;
- at most ``receive_maximum`` messages are in flight, so memory stays bounded when the database
  is slow; the network loop goes on meanwhile and keeps the session alive. Messages of QoS 0, which
  no broker holds back, are dropped beyond that, and counted in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import NamedTuple

import aiomqtt
import structlog
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.batch import Message
from ingest.sources import RawBatch
from shudao.broker_address import broker_address
from shudao.errors import ShudaoError

log = structlog.get_logger(__name__)

BATCH_BYTES = 8 * 2**20
"""A batch also closes at this much payload: what one transaction decodes and writes."""
_POLL_S = 0.005
_LONGEST_PAUSE_S = 10.0
_SESSION_EXPIRY_S = 7 * 86_400


class _Received(NamedTuple):
    """A message of one connection; ``mid`` is what its acknowledgement names."""

    message: Message
    mid: int
    qos: int


class _Connection:
    """One connection to the broker: what arrived, in order, stamped when it did."""

    def __init__(self, client: aiomqtt.Client, limit: int) -> None:
        self.client = client
        self.waiting: deque[_Received] = deque()
        self._limit = limit
        self._dropped = 0
        # Below aiomqtt's own queue: that one acknowledges before our code sees a message, takes
        # messages without bound, and breaks on topics that are no valid UTF-8.
        client._client.manual_ack_set(True)
        client._client.on_message = self._on_message

    def _on_message(self, _client: PahoClient, _userdata: object, received: MQTTMessage) -> None:
        if received.qos == 0 and len(self.waiting) >= self._limit:
            self._dropped += 1
            if self._dropped.bit_count() == 1:  # 1, 2, 4, 8 …
                log.warning("QoS 0 messages dropped: too many wait", dropped=self._dropped)
            return
        topic = received._topic.decode("utf-8", "backslashreplace")
        message = Message(topic, bytes(received.payload), time.time_ns() // 1_000_000)
        self.waiting.append(_Received(message, received.mid, received.qos))

    @property
    def is_broken(self) -> bool:
        return self.client._disconnected.done()

    def raise_failure(self) -> None:
        """Of a broken connection nothing can be acknowledged: it all comes again."""
        error = self.client._disconnected.exception()
        raise aiomqtt.MqttError(str(error) or "the broker closed the connection") from error

    async def acknowledge(self, received: list[_Received]) -> None:
        """PUBACK, unless the connection broke meanwhile: then the broker delivers again."""
        for i, r in enumerate(received):
            if self.is_broken:
                return
            if r.qos:
                self.client._client.ack(r.mid, r.qos)
            if i % 500 == 499:
                await asyncio.sleep(0)  # the network loop shares this thread


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
        address = broker_address(self._url)
        pause, first = 0.5, True
        while not self._stopping.is_set():
            try:
                client = self._client()
                # Before it connects: what a persistent session kept comes with the CONNACK.
                connection = _Connection(client, self._receive_maximum)
                async with client:
                    await self._subscribe(client)
                    log.info("subscribed", broker=str(address), topic=self._topic)
                    self.connected, first, pause = True, False, 0.5
                    async with contextlib.aclosing(self._read(connection)) as batches:
                        async for batch in batches:
                            yield batch
            except aiomqtt.MqttError as error:
                if first:
                    raise ShudaoError(
                        f"the MQTT broker at {address} cannot be reached ({error})",
                        "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
                    ) from error
                log.warning("broker away, connecting again", error=str(error), pause_s=pause)
                self.connected = False
                await self._wait(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _client(self) -> aiomqtt.Client:
        address = broker_address(self._url)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        return aiomqtt.Client(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=address.tls,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        [granted] = await client.subscribe(self._topic, qos=1)
        code = granted if isinstance(granted, int) else granted.value
        if code != 1:
            raise ShudaoError(
                f"the MQTT broker does not let {self._client_id!r} subscribe to {self._topic}"
                f" with QoS 1 (it answered {granted})",
                "allow that in its access list, and QoS 1 in its settings",
            )

    async def _read(self, connection: _Connection) -> AsyncGenerator[RawBatch, None]:
        while not self._stopping.is_set():
            received = await self._collect(connection)
            if received:
                yield RawBatch(
                    [r.message for r in received],
                    functools.partial(connection.acknowledge, received),
                )

    async def _collect(self, connection: _Connection) -> list[_Received]:
        """The next messages; [] when there were none for a while.

        What arrived is polled and never awaited: a cancelled wait can lose a message.
        """
        waiting, received, size = connection.waiting, list[_Received](), 0
        deadline = time.monotonic() + self._batch_s
        while time.monotonic() < deadline:
            if not waiting:
                if connection.is_broken:
                    connection.raise_failure()
                if self._stopping.is_set():
                    break
                await asyncio.sleep(_POLL_S)
                continue
            if not received:
                deadline = time.monotonic() + self._batch_s
            received.append(waiting.popleft())
            size += len(received[-1].message.payload)
            if len(received) >= self._batch_messages or size >= BATCH_BYTES:
                break
        return received

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
