"""Empty and end the sessions of an earlier run with another number of workers.

A persistent session goes on receiving while nobody reads it. Where there were four workers and now
are two, what the broker keeps for the other two would wait for ever; where one worker's session
subscribes to everything, it would get all messages beside the workers' shared subscription.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import structlog

from ingest.ingester import Ingester
from ingest.receipt import Receipt
from ingest.sources import SourceOptions
from ingest.sources.choose import MakeSource

log = structlog.get_logger(__name__)

MAX_WORKERS = 16


def worker_options(options: SourceOptions, workers: int, worker: int) -> SourceOptions:
    """The options of one of ``workers`` (numbered from 1): alone, or sharing one subscription."""
    if workers == 1:
        return options
    return replace(options, client_id=f"{options.client_id}-{worker}", group=options.client_id)


def leftovers(options: SourceOptions, workers: int) -> Iterator[SourceOptions]:
    """The sessions that any other number of workers may have left."""
    if workers > 1:
        yield replace(options, retire=True)
    for worker in range(workers + 1 if workers > 1 else 1, MAX_WORKERS + 1):
        yield replace(worker_options(options, MAX_WORKERS, worker), retire=True)


async def retire(make: MakeSource, options: SourceOptions, workers: int, url: str) -> Receipt:
    """Ingest what those sessions hold, and end them; what that was.

    Where there are any, the sessions of ``workers`` subscribe first: for a message between the two
    the broker would have no subscriber. So one may come twice, which changes no number. To be
    called while no worker of any number runs. Raises `ShudaoError`.
    """
    found = [left for left in leftovers(options, workers) if await make(left).session_exists()]
    if not found:
        return Receipt()
    for worker in range(1, workers + 1):
        held = replace(worker_options(options, workers, worker), hold=True)
        async for _ in make(held).batches():
            raise AssertionError("a source that holds delivers nothing")
    total = Receipt()
    async with contextlib.AsyncExitStack() as stack:
        ingester: Ingester | None = None
        for left in found:
            async for batch in make(left).batches():
                if ingester is None:  # there is hardly ever anything
                    ingester = Ingester(url, origin="mqtt")
                    stack.push_async_callback(ingester.aclose)
                total.add(await ingester.store_messages(batch.messages))
                await batch.acknowledge()
    if total.received:
        log.info("ingested what an earlier number of workers left", samples=total.received)
    return total
