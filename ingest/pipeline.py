"""Source → decode → check → write → acknowledge, and the roll-ups beside it.

- A batch is acknowledged after its commit, and so is a message that could not be understood: it
  was committed to quarantine. Batches are committed and acknowledged in the order they came.
- The next batch is decoded while this one is committed; one more waits at most, so memory is
  bounded. The network loop goes on all the time.
- Stopping takes no new batch, finishes and acknowledges those in hand, then brings the roll-ups
  up to date if that is quick. Being killed loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from ingest.batch import Batch
from ingest.health import Health
from ingest.ingester import PERMANENT, Ingester
from ingest.merge import PAUSE_S, pause_after_hours
from ingest.metrics import Metrics
from ingest.receipt import Receipt
from ingest.sources import RawBatch, Source

log = structlog.get_logger(__name__)

REPORT_S = 10.0
_LAST_ROLL_UP_S = 5.0
_ROLL_UP_RETRY_S = 30.0


class _InHand(NamedTuple):
    """A batch between decoding and acknowledgement."""

    raw: RawBatch
    batch: Batch


@dataclass(slots=True)
class Pipeline:
    """One source into one database.

    `run` ends when the source does, and returns the totals; it raises what cannot be tried again.
    """

    source: Source
    ingester: Ingester
    health: Health
    metrics: Metrics

    @classmethod
    def of(cls, source: Source, ingester: Ingester) -> Pipeline:
        """With health and metrics of its own."""
        return cls(source, ingester, Health(source, ingester), Metrics(source))

    async def run(self) -> Receipt:
        """Ingest until the source ends."""
        total = Receipt()
        async with contextlib.aclosing(self.ingester):
            rolling_up = asyncio.create_task(self._roll_up(), name="roll-ups")
            try:
                await self._flow(total)
            finally:
                rolling_up.cancel()
                await asyncio.gather(rolling_up, return_exceptions=True)
            await self._last_roll_up()
        return total

    async def _flow(self, total: Receipt) -> None:
        # One batch is written, one waits, one is decoded.
        queue = asyncio.Queue[_InHand | None](maxsize=1)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._prepare(queue), name="decode")
                tasks.create_task(self._write(queue, total), name="write")
        except BaseExceptionGroup as group:
            # One stage fails, the other is cancelled: there is one cause.
            raise group.exceptions[0] from None

    async def _prepare(self, queue: asyncio.Queue[_InHand | None]) -> None:
        async with contextlib.aclosing(self.source.batches()) as batches:
            async for raw in batches:
                self.health.batch_begins()
                await queue.put(_InHand(raw, await self.ingester.prepare(raw.messages)))
        await queue.put(None)

    async def _write(self, queue: asyncio.Queue[_InHand | None], total: Receipt) -> None:
        reported, last = 0, time.monotonic()
        while in_hand := await queue.get():
            began = time.monotonic()
            receipt = await self.ingester.write(in_hand.batch)
            commit_s = time.monotonic() - began
            await in_hand.raw.acknowledge()
            self.metrics.batch_done(
                in_hand.batch, receipt, len(in_hand.raw.messages),
                age_s=self.health.batch_ends(), commit_s=commit_s,
            )  # fmt: skip
            total.add(receipt)
            if (now := time.monotonic()) - last >= REPORT_S:
                _report(total, (total.received - reported) / (now - last))
                reported, last = total.received, now

    async def _roll_up(self) -> None:
        """Bring the journal into the roll-ups, again and again."""
        hours_due = 0.0
        while True:
            try:
                await self._merge(self.ingester.roll_up_minutes, "minutes")
                if time.monotonic() >= hours_due:
                    merged = await self._merge(self.ingester.roll_up_hours, "hours")
                    hours_due = time.monotonic() + pause_after_hours(*merged)
                self.health.roll_up_error = ""
                pause_s = PAUSE_S
            except PERMANENT as error:
                # Samples are safe in the journal; whoever watches must know, and can mend it.
                self.health.roll_up_error = str(error)
                log.error("the roll-ups stand still, samples wait in the journal", error=str(error))
                pause_s = _ROLL_UP_RETRY_S
            await asyncio.sleep(pause_s)

    async def _merge(
        self, step: Callable[[], Awaitable[int | None]], what: str
    ) -> tuple[int | None, float]:
        """Run a step and count it; how many samples it took, and how many seconds."""
        began = time.monotonic()
        samples = await step()
        taken_s = time.monotonic() - began
        if samples:
            self.metrics.merged(what, samples, taken_s)
        return samples, taken_s

    async def _last_roll_up(self) -> None:
        try:
            async with asyncio.timeout(_LAST_ROLL_UP_S):
                await self.ingester.roll_up()
        except TimeoutError:
            log.warning("stopped before all was rolled up; the next ingester goes on with it")


def _report(total: Receipt, samples_per_s: float) -> None:
    log.info(
        "ingested",
        samples_per_s=round(samples_per_s),
        stored=total.stored,
        duplicates=total.duplicates,
        quarantined=total.quarantined.total(),
    )


async def run(source: Source, ingester: Ingester) -> Receipt:
    """Ingest until the source ends, with health and metrics that nobody asks for."""
    return await Pipeline.of(source, ingester).run()
