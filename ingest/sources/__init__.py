"""Where messages come from. A source yields raw batches, each with its own acknowledgement.

What every source promises (one conformance suite tests them all, tests/ingest/test_sources.py):
- a message is acknowledged only when its batch's ``acknowledge`` is called, and batches are
  acknowledged in the order in which they came;
- the session is persistent: what was not acknowledged is delivered again after a reconnect, and
  what arrives while nobody is connected waits at the broker;
- at most ``receive_maximum`` messages are in flight (QoS 0, which no broker holds back, is dropped
  beyond that, counted and logged), so memory stays bounded however slow the reader is; the
  connection is kept alive meanwhile;
- a cancelled reader loses nothing: the next one gets every message that was not acknowledged.
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
    retire: bool = False
    """Unsubscribe, deliver what the session still holds, end the session, and end."""

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

    def stop(self) -> None:
        """Take no more messages; those already in a batch can still be acknowledged."""
        ...
