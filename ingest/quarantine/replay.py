"""Replay: what was refused goes through the path of every sample again, after a fix.

What this module promises:
- samples that are valid now are stored, exactly once, and their rows leave quarantine in the same
  transaction; a replay that was killed is simply run again;
- what is refused again stays one row, with the reason that holds now; nothing new is counted;
- a sample is judged as of its arrival: a clock that was ahead then has not become right by waiting.

The ledger counts what was stored under the minute of its arrival, with the origin ``replay``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np

from ingest.batch import Batch, Message
from ingest.ingester import PERMANENT, Ingester
from ingest.link import Link
from ingest.quarantine.pages import ORIGIN, Extent, Pages
from ingest.quarantine.selection import Selection
from ingest.quarantine.verdict import Kept, Verdict, by_message, judge
from ingest.reasons import Reason
from ingest.receipt import Receipt
from shudao.settings import Settings, get_settings

Groups = dict[Message, list[Kept]]
Progress = Callable[[int, int], object]
"""Called after each page with the rows done, and all."""


@dataclass(slots=True)
class Replayed:
    """What became of the selected rows: rows = left + refused."""

    rows: int = 0
    """That were replayed."""
    left: int = 0
    """Rows that left quarantine (of a dry run: that would)."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rows that stay, by the reason that holds now."""
    samples: Receipt = field(default_factory=Receipt)
    """Of a dry run ``stored`` counts the valid ones, those that are there already among them."""
    imported: int = 0
    """Rows left alone: lines of an imported file."""
    cut_off: int = 0
    """Rows left alone: their payload is not whole."""
    seconds: float = 0.0
    complete: bool = True
    """False: stopped before the end."""

    def add(self, verdict: Verdict, receipt: Receipt) -> None:
        """Count what was judged and committed."""
        self.rows += len(verdict.leave) + len(verdict.stay)
        self.left += len(verdict.leave)
        self.refused.update(refusal.reason.value for _, refusal in verdict.stay)
        self.samples.add(receipt)


class Replayer:
    """Replays rows of quarantine.

    Args:
        url: the database.
        dry_run: only tell what would happen; writes nothing.
        progress: called after each page.
        settings: the process's by default.
    """

    def __init__(
        self,
        url: str,
        *,
        dry_run: bool = False,
        progress: Progress = lambda _done, _all: None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or get_settings()
        if dry_run:  # devices are not registered on sight either
            settings = settings.model_copy(update={"auto_register": ""})
        self._max_ahead_ms = settings.max_ahead_s * 1000
        self._dry_run = dry_run
        self._progress = progress
        self._ingester = Ingester(url, origin=ORIGIN, settings=settings)
        self._pages = Link(url, Pages)
        self._stopping = False

    def stop(self) -> None:
        """Finish the page in hand, then return."""
        self._stopping = True

    async def run(self, selection: Selection) -> Replayed:
        """Replay what is selected. Raises what the database raises when it takes nothing at all."""
        began, replayed = time.monotonic(), Replayed()
        async with aclosing(self._ingester), aclosing(self._pages):
            extent = await self._pages.use(lambda p: p.extent(selection))
            replayed.imported, replayed.cut_off = extent.imported, extent.cut_off
            await self._all_pages(selection, extent, replayed)
            if replayed.samples.stored and not self._dry_run:
                await self._ingester.roll_up()
        replayed.seconds = time.monotonic() - began
        return replayed

    async def _all_pages(self, selection: Selection, extent: Extent, replayed: Replayed) -> None:
        position = 0
        while rows := await self._page(selection, position, extent.last):
            if self._stopping:
                replayed.complete = False
                return
            await self._replay(by_message(rows), replayed)
            position = rows[-1].quarantine_id
            self._progress(replayed.rows, extent.rows)

    async def _page(self, selection: Selection, position: int, last: int) -> list[Kept]:
        return await self._pages.use(lambda p: p.after(selection, position, last))

    async def _replay(self, groups: Groups, replayed: Replayed) -> None:
        batch = await self._ingester.prepare(list(groups))
        refuse_clocks_ahead(batch, self._max_ahead_ms)
        verdict = judge(groups, batch)
        if self._dry_run:
            reasons = Counter(r.reason.value for r in verdict.parts)
            valid = sum(map(len, batch.checked))
            replayed.add(verdict, Receipt(valid + reasons.total(), valid, 0, reasons))
            return
        try:
            receipt = await self._settle(batch, verdict)
        except PERMANENT as error:
            if len(groups) > 1:
                for half in _halves(groups):
                    await self._replay(half, replayed)
                return
            batch = _unstorable(batch, error)
            verdict = judge(groups, batch)
            receipt = await self._settle(batch, verdict)
        replayed.add(verdict, receipt)

    async def _settle(self, batch: Batch, verdict: Verdict) -> Receipt:
        return await self._pages.use(lambda p: p.settle(batch, verdict))


def _halves(groups: Groups) -> tuple[Groups, Groups]:
    messages = list(groups)
    middle = len(messages) // 2
    first, second = messages[:middle], messages[middle:]
    return {m: groups[m] for m in first}, {m: groups[m] for m in second}


def _unstorable(batch: Batch, error: Exception) -> Batch:
    """All samples of a message as refusals, where the database refuses one of them.

    An array comes apart by that: at the next replay its other objects are stored.
    """
    refused = [
        checked.refuse(row, Reason.UNSTORABLE, str(error))
        for checked in batch.checked
        for row in range(len(checked))
    ]
    return Batch(refusals=[*batch.refusals, *refused])


def refuse_clocks_ahead(batch: Batch, max_ahead_ms: int) -> None:
    """Refuse samples that were measured too long after they arrived.

    `ingest.check` compares with now, which is later than the arrival by as long as they waited.
    """
    for i, checked in enumerate(batch.checked):
        ahead_ms = checked.rows["time_ms"] - checked.received_ms
        wrong = ahead_ms > max_ahead_ms
        for row in np.flatnonzero(wrong).tolist():
            detail = f"the time lies {ahead_ms[row] / 1000:,.0f} s after the arrival"
            batch.refusals.append(checked.refuse(row, Reason.TIME_AHEAD, detail))
        batch.checked[i] = checked.take(~wrong)
