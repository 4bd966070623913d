"""Where messages come from. A source yields raw batches, each with its own acknowledgement.

What every source promises (one conformance suite tests them all, tests/ingest/test_sources.py):
- a message is acknowledged only when its batch's ``acknowledge`` is called, and batches are
  acknowledged in the order in which they came;
- the session is persistent: what was not acknowledged is delivered again after a reconnect, and
  what arrives while nobody is connected waits at the broker;
- at most ``receive_maximum`` messages of QoS 1 are in flight, and those of QoS 0, which no broker
  holds back, are dropped where that many messages are in flight already (counted and logged; over
  MQTT 3.1.1 the socket is left unread instead), so memory stays bounded however slow the reader
  is; the connection is kept alive meanwhile;
- a cancelled reader loses nothing: the next one gets every message that was not acknowledged
  (QoS 0 apart, which is lost with the connection);
- what was received before a connection broke is handed on all the same, and delivered again: a
  broker that was killed may have forgotten it;
- a message that cannot be read (a topic that is not UTF-8) is handed on as well as it can be, to be
  quarantined and acknowledged: it neither stops the stream nor comes for ever.

How it ends: `stop` ends the generator, but not before every batch that it yielded is acknowledged
and the broker has read that, or the connection is gone, or the generator is closed (``aclose``).
So whoever waits for the generator's end must acknowledge meanwhile, from another task, or must
have acknowledged each batch before it asks for the next. Messages that were received and not
yielded are left to be delivered again.

MQTT sources: `ingest.sources.mqtt5` (fast, MQTT 5) and `ingest.sources.aiomqtt` (any broker), which
`ingest.sources.choose` chooses between; `ingest.sources.mqtt` is what they have in common.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ingest.batch import Message


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Messages that were received and not yet acknowledged."""

    messages: list[Message]
    acknowledge: Callable[[], Awaitable[None]]
    """To be called once the messages are committed; never before. Does nothing when the
    connection that they came through is gone: then they are delivered again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What a source is asked for."""

    url: str
    """mqtt://[user:password@]host:port, or mqtts:// for TLS."""
    client_id: str
    """Names the persistent session; two clients must not share one."""
    topic: str = "shudao/v1/#"
    group: str = ""
    """Of a shared subscription ($share/{group}/…); empty: not shared."""
    batch_messages: int = 20_000
    """A batch closes at this many messages …"""
    batch_ms: int = 200
    """… or this long after its first one."""
    receive_maximum: int = 60_000
    """Unacknowledged messages in flight, 1 to 65,535: what is being written, what is being decoded,
    and what arrives meanwhile."""
    keep_alive_s: int = 30
    hold: bool = False
    """Leave the session subscribed, and end: the broker keeps what comes until somebody reads."""
    retire: bool = False
    """Unsubscribe, deliver what the session still holds until nothing comes for a second and all is
    acknowledged, end the session, and end; at once where the broker keeps no such session."""

    @property
    def topic_filter(self) -> str:
        """What to subscribe to."""
        return f"$share/{self.group}/{self.topic}" if self.group else self.topic


class Source(Protocol):
    """What the pipeline reads from."""

    connected: bool
    """Whether the broker answers now."""
    reconnects: int
    """Connections that were taken up again."""
    dropped: int
    """Messages of QoS 0 that found no room."""

    @property
    def in_flight(self) -> int:
        """Messages received and not yet acknowledged."""
        ...

    def batches(self) -> AsyncGenerator[RawBatch, None]:
        """Batches, for ever, through reconnects; ends when `stop` was called.

        Raises `ShudaoError` when the broker cannot be reached at first, or refuses us for good.
        """
        ...

    async def session_exists(self) -> bool:
        """Whether the broker keeps a session of ours; leaves it as it is. Raises `ShudaoError`."""
        ...

    def stop(self) -> None:
        """Take no more messages; those already in a batch can still be acknowledged."""
        ...
