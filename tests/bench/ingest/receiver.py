"""The fast source, receiving and acknowledging with nothing else done; run as a process."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import uvloop

from ingest.sources import SourceOptions
from ingest.sources.mqtt5 import Mqtt5Source
from shudao.settings import get_settings, mqtt_url
from tests.bench.ingest.board import Board


async def main() -> None:
    """Receive for ever, with the ingester's settings."""
    board, settings = Board(Path(sys.argv[1])), get_settings()
    source = Mqtt5Source(
        SourceOptions(
            url=mqtt_url(),
            client_id="bench-receiver",
            batch_messages=settings.batch_messages,
            batch_ms=settings.batch_ms,
            receive_maximum=settings.receive_maximum,
        )
    )
    async with contextlib.aclosing(source.batches()) as batches:
        async for batch in batches:
            await batch.acknowledge()
            board.done += len(batch.messages)


if __name__ == "__main__":
    uvloop.run(main())
