"""Where messages come from. A source yields raw batches, each with its own acknowledgement."""

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
    """To be called once the messages are committed; never before."""


class Source(Protocol):
    """What the pipeline reads from."""

    def batches(self) -> AsyncGenerator[RawBatch, None]:
        """Batches, for ever, through reconnects; ends when `stop` was called."""
        ...

    def stop(self) -> None:
        """Take no more messages; those already in a batch can still be acknowledged."""
        ...
