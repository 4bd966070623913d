"""Source → decode → check → write → acknowledge, one batch after the other.

A batch is acknowledged after its commit, and so is a message that could not be understood: it
was committed to quarantine. Stopping finishes and acknowledges the batch in hand.
"""

from __future__ import annotations

import contextlib
import time

import structlog

from ingest.ingester import Ingester
from ingest.receipt import Receipt
from ingest.sources import Source

log = structlog.get_logger(__name__)

REPORT_S = 10.0


async def run(source: Source, ingester: Ingester) -> Receipt:
    """Ingest until the source ends; returns the totals."""
    total, reported, last = Receipt(), 0, time.monotonic()
    async with contextlib.aclosing(ingester), contextlib.aclosing(source.batches()) as batches:
        async for batch in batches:
            total.add(await ingester.store_messages(batch.messages))
            await batch.acknowledge()
            now = time.monotonic()
            if now - last >= REPORT_S:
                log.info(
                    "ingested",
                    samples_per_s=round((total.received - reported) / (now - last)),
                    stored=total.stored,
                    duplicates=total.duplicates,
                    quarantined=total.quarantined.total(),
                )
                reported, last = total.received, now
    return total
