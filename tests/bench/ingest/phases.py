"""One phase: start a subject, feed it, watch it, wait until it has done all, count, stop it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from shudao.errors import ShudaoError
from tests.bench.ingest import tables
from tests.bench.ingest.board import Board
from tests.bench.ingest.course import Course
from tests.bench.ingest.probe import RSRP_X100, Probe
from tests.bench.ingest.processes import Child
from tests.bench.ingest.publisher import Account, Load
from tests.bench.ingest.subjects import Services, Subject
from tests.bench.ingest.tables import Counts
from tests.bench.ingest.usage import Meter

_LOOK_S, _PROBE_S = 0.050, 0.020
_READY_PATIENCE_S, _ROLL_UP_PATIENCE_S = 90.0, 180.0
_STALLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phase saw. ``probed`` are the probe's samples, on top of the load's."""

    load: Load
    account: Account
    probed: int
    course: Course
    meter: Meter
    cpu_s: dict[str, float]
    """Of each, from the first publish until all was rolled up."""
    shares: dict[str, float]
    """Of all processors, from the first publish to the last commit."""
    queryable_ms: dict[str, object]
    rolled_up_after_s: float
    """From the last commit until the journal was empty."""
    counts: Counts | None
    wrong: list[str]

    @property
    def samples(self) -> int:
        """All that was published."""
        return self.account.samples + self.probed


class Phase:
    """A subject and its load, on services that are empty.

    Args:
        services: the run's own broker and database.
        connection: for looks and counts; the probe's poller has another one.
        pids: process trees to be measured beside the subject: broker and database.
        probe_id: the probe's device_id.
    """

    def __init__(
        self,
        services: Services,
        connection: asyncpg.Connection[Any],
        pids: dict[str, int],
        probe_id: int,
        subject: Subject,
        load: Load,
    ) -> None:
        self._services, self._connection, self._probe_id = services, connection, probe_id
        self._subject, self._load = subject, load
        self._board = Board(services.board, create=True)
        self._done = subject.counter(connection, self._board)
        self._probe = Probe(services.mqtt_url)
        self._course, self._meter = Course(), Meter(dict(pids))

    async def run(self) -> Outcome:
        """Run it. Raises `ShudaoError` when a process ends early or never begins."""
        child = self._subject.start(self._services)
        with _stopped(child):
            async with self._probe:
                await self._ready(child)
                await self._rolled_up()
                before = await self._count()
                account, cpu_s, shares = await self._feed(child)
                last_commit = self._course.finished
                await self._rolled_up()
                rolled_up_after_s = time.monotonic() - last_commit
                cpu_s |= self._meter.used_s()
            counts = await self._count()
        wrong = self._wrong(account, before, counts)
        steady_began, _ = self._course.steady(account.last_publish)
        return Outcome(
            load=self._load,
            account=account,
            probed=self._probe.published,
            course=self._course,
            meter=self._meter,
            cpu_s=cpu_s,
            shares=shares,
            queryable_ms=self._probe.latencies_ms(steady_began, account.last_publish),
            rolled_up_after_s=rolled_up_after_s,
            counts=counts - before if counts and before else None,
            wrong=wrong,
        )

    async def _ready(self, child: Child) -> None:
        """Until the subject takes messages: the broker keeps none before it subscribes."""
        deadline = time.monotonic() + _READY_PATIENCE_S
        while not await self._done():
            child.must_run()
            if time.monotonic() > deadline:
                raise ShudaoError(
                    f"the {child.name} took no message within {_READY_PATIENCE_S:.0f} s",
                    f"its log is {child.log}",
                )
            self._probe.publish()
            await asyncio.sleep(0.2)
        done, quiet = -1, time.monotonic()
        while time.monotonic() - quiet < self._subject.settle_s:
            if (now_done := await self._done()) != done:
                done, quiet = now_done, time.monotonic()
            await asyncio.sleep(_LOOK_S)

    async def _rolled_up(self) -> None:
        """Until the journal is empty, or does not change any more: what is missing is counted."""
        before, changed = -1, time.monotonic()
        while self._subject.rolls_up and (waiting := await tables.waiting(self._connection)):
            if waiting != before:
                before, changed = waiting, time.monotonic()
            if time.monotonic() - changed > _ROLL_UP_PATIENCE_S:
                return
            if self._meter.began:
                self._meter.sample()
            await asyncio.sleep(_LOOK_S)

    async def _count(self) -> Counts | None:
        return await tables.count(self._connection) if self._subject.stores else None

    async def _feed(self, child: Child) -> tuple[Account, dict[str, float], dict[str, float]]:
        """From the first publish to the last commit.

        Returns also CPU seconds of our own, and what share of the processors each had.
        """
        self._probe.forget()
        done_before = await self._done()
        self._meter.pids["ingester"] = child.pid
        self._meter.start()
        self._course.note(0)
        cpu = time.process_time()
        async with self._observed():
            account = await self._publish(child, done_before)
            everything = account.samples + self._probe.published
            while self._course.done[-1] < everything and not self._is_stalled:
                await self._look(child, done_before)
        ours = {"publisher": account.cpu_s, "bench": time.process_time() - cpu}
        return account, ours, self._meter.shares(ours | self._meter.used_s())

    @asynccontextmanager
    async def _observed(self) -> AsyncIterator[None]:
        if not self._subject.stores:
            yield
            return
        async with self._probe.watched(self._services.database_url, self._probe_id):
            yield

    async def _publish(self, child: Child, done_before: int) -> Account:
        """Run the publisher to its end, and the probe beside it."""
        arguments = ["-m", "tests.bench.ingest.publisher", json.dumps(asdict(self._load))]
        publisher = Child("publisher", arguments, self._services.home, {})
        with _stopped(publisher):
            async with self._probe.publishing(every_s=_PROBE_S if self._subject.stores else None):
                while not publisher.ended:
                    await self._look(child, done_before)
                    self._board.stop = int(self._is_stalled)
            return Account(**json.loads(publisher.result()))

    async def _look(self, child: Child, done_before: int) -> None:
        """Note how far the subject is, and tell the publisher."""
        child.must_run()
        done = await self._done() - done_before
        self._course.note(done)
        # Some of the done are the probe's: as long as it is not known how many, take all.
        self._board.committed = max(done - self._probe.published, 0)
        self._meter.sample()
        await asyncio.sleep(_LOOK_S)

    @property
    def _is_stalled(self) -> bool:
        return self._course.silent_s > _STALLED_S

    def _wrong(self, account: Account, before: Counts | None, counts: Counts | None) -> list[str]:
        """What is not there exactly once, in words."""
        if before is None or counts is None:
            received = self._course.done[-1]
            complete = received == account.samples
            return [] if complete else [f"{received:,} received, not {account.samples:,}"]
        probed = self._probe.published
        return (counts - before).wrong(
            account.samples + probed,
            account.rsrp_sum_x100 + probed * RSRP_X100,
            rolls_up=self._subject.rolls_up,
        )


@contextmanager
def _stopped(child: Child) -> Iterator[None]:
    try:
        yield
    finally:
        child.stop()
