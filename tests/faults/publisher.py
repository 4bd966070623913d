"""Publishes at QoS 1 and keeps a book: what was sent, and what the broker accepted (PUBACK).

After a lost connection paho sends again whatever has no PUBACK yet, so an accepted message may
lie at the broker twice: one more source of duplicates.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.faults.envelope import Envelope, Refused

MAX_PENDING = 2_000
KEEP_ALIVE_S = 10
NO_MATCHING_SUBSCRIBERS = 0x10


@dataclass(slots=True)
class Book:
    """What was handed to the broker and what it took, by number and by refusal."""

    published_numbers: set[int] = field(default_factory=set)
    published_refusals: set[Refused] = field(default_factory=set)
    accepted_numbers: Counter[int] = field(default_factory=Counter)
    """How often each number was acknowledged."""
    accepted_refusals: Counter[Refused] = field(default_factory=Counter)

    def publish(self, envelope: Envelope) -> None:
        """It is about to be sent."""
        self.published_numbers.update(envelope.numbers)
        self.published_refusals.update(envelope.refused)

    def accept(self, envelope: Envelope) -> None:
        """The broker took it."""
        self.accepted_numbers.update(envelope.numbers)
        self.accepted_refusals.update(envelope.refused)


class Publisher:
    """A client with a thread of its own."""

    def __init__(self, mqtt_url: str) -> None:
        self.book = Book()
        self.refused: list[str] = []
        """Messages that the broker answered with an error."""
        self.unheard = 0
        """Messages that the broker took for nobody: no session had subscribed."""
        self._pending: dict[int, Envelope] = {}
        # The thread only puts here what it hears: it holds paho's locks meanwhile.
        self._answers: SimpleQueue[tuple[int, ReasonCode]] = SimpleQueue()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="chaos-publisher",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.max_inflight_messages_set(500)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._on_publish
        url = urlsplit(mqtt_url)
        self._client.connect(str(url.hostname), url.port or 1883, keepalive=KEEP_ALIVE_S)
        self._client.loop_start()

    async def publish(self, envelope: Envelope) -> None:
        """Send it; waits while too many have no PUBACK yet."""
        while self._unanswered() >= MAX_PENDING:  # noqa: ASYNC110 - a thread hears them
            await asyncio.sleep(0.01)
        self.book.publish(envelope)
        info = self._client.publish(envelope.topic, envelope.payload, qos=1)
        self._pending[info.mid] = envelope

    async def settled(self, patience_s: float) -> None:
        """Wait until every message is acknowledged. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            while self._unanswered():  # noqa: ASYNC110 - a thread hears them
                await asyncio.sleep(0.02)

    def close(self) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        self._answers.put((mid, code))

    def _unanswered(self) -> int:
        """Book the answers that came; how many messages have none yet."""
        while not self._answers.empty():
            mid, code = self._answers.get()
            envelope = self._pending.pop(mid)
            if code.value == NO_MATCHING_SUBSCRIBERS:
                self.unheard += 1
            elif code.is_failure:
                self.refused.append(f"{envelope.topic}: {code}")
            else:
                self.book.accept(envelope)
        return len(self._pending)
