"""What the database has of a run, by asking it: how soon, how many, which twice."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from shudao.database.connect import AWAY, connect
from shudao.errors import ShudaoError
from simulators.load.latencies import Latencies
from simulators.load.publisher import Sample
from simulators.load.register import Registered

_POLL_S, _COUNT_S, _RETRY_S, _ROLL_UP_S = 0.01, 1.0, 0.5, 60.0
_MOST_AT_ONCE = 500
_AWAY = (ShudaoError, asyncpg.InternalClientError, *AWAY)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# LIMIT keeps this a look-up in the index a sample, whatever the planner believes of the table.
_FOUND = """
SELECT n - 1 FROM unnest($1::integer[], $2::timestamptz[]) WITH ORDINALITY AS asked (device, at, n)
CROSS JOIN LATERAL (
    SELECT FROM radio_sample WHERE device_id = device AND time = at LIMIT 1) AS found
"""
_MINE = "FROM radio_sample WHERE device_id BETWEEN $1 AND $2 AND time >= $3"
_COUNT = f"SELECT count(*) {_MINE}"
_COUNT_DISTINCT = f"SELECT count(DISTINCT cell_id) {_MINE}"
_REFUSED = "SELECT count(*) FROM quarantine WHERE device LIKE $1 AND received >= $2"
_LEDGER = "SELECT coalesce(sum(stored), 0) FROM ingest_minute WHERE minute >= $1"
_NOT_ROLLED_UP = "SELECT count(*) FROM rollup_journal WHERE written <= $1"


class Stored(NamedTuple):
    """Samples of a run in the database."""

    rows: int
    distinct: int
    """By their number: a row more than this is stored twice."""
    quarantined: int


class Database:
    """One connection that is made again when it breaks: a restart is something to measure.

    Args:
        patience_s: how long the database may be away.
    """

    def __init__(self, patience_s: float = math.inf) -> None:
        self._patience_s = patience_s
        self._connection: asyncpg.Connection[Any] | None = None

    async def ask(self, statement: str, *arguments: object) -> list[Any]:
        """Rows of a query. Raises what is wrong when the patience is over."""
        began = time.monotonic()
        while True:
            try:
                if self._connection is None:
                    self._connection = await connect()
                return list(await self._connection.fetch(statement, *arguments))
            except _AWAY:
                self.close()
                if time.monotonic() - began > self._patience_s:
                    raise
                await asyncio.sleep(_RETRY_S)

    def close(self) -> None:
        """End it; the next question opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Verifier:
    """Asks about one run. `note` may be called in another thread.

    Args:
        registered: whose samples these are.
        prefix: of their devices' names.
        patience_s: how long nothing more may be stored until it counts as lost.
    """

    def __init__(self, registered: Registered, prefix: str, patience_s: float) -> None:
        self.to_query = Latencies()
        """From when a message was due until it could be selected, of one every 20 ms."""
        self.ledger = 0
        """What the ledger says was stored since the beginning, of all senders."""
        self._registered, self._prefix, self._patience_s = registered, prefix, patience_s
        self._where = tuple(registered)
        self._out: deque[Sample] = deque()

    @property
    def not_seen(self) -> int:
        """Sampled messages that could not be selected yet."""
        return len(self._out)

    def note(self, sample: Sample) -> None:
        """Look for this message from now on."""
        self._out.append(sample)

    async def watch(self) -> None:
        """Look for noted messages, and read the ledger, for ever."""
        await asyncio.gather(self._look_for_samples(), self._read_ledger())

    async def _look_for_samples(self) -> None:
        with closing(Database()) as database:
            while True:
                await self._look(database)
                await asyncio.sleep(_POLL_S)

    async def _look(self, database: Database) -> None:
        """Ask for the oldest; those that are not there yet are asked for again in turn."""
        asked = [self._out.popleft() for _ in range(min(len(self._out), _MOST_AT_ONCE))]
        if not asked:
            return
        devices = [self._registered.first_id + sample.device for sample in asked]
        times = [_EPOCH + timedelta(milliseconds=sample.time_ms) for sample in asked]
        found = {row[0] for row in await database.ask(_FOUND, devices, times)}
        now = time.monotonic()
        self.to_query.add([(now - asked[i].due) * 1000 for i in found])
        self._out.extend(sample for i, sample in enumerate(asked) if i not in found)

    async def _read_ledger(self) -> None:
        minute = self._registered.since.replace(second=0, microsecond=0)
        with closing(Database()) as database:
            [[before]] = await database.ask(_LEDGER, minute)
            while True:
                [[now]] = await database.ask(_LEDGER, minute)
                self.ledger = int(now - before)
                await asyncio.sleep(_COUNT_S)

    async def wait(self, published: int) -> None:
        """Until all are stored, or none was added for as long as the patience."""
        rows, changed = -1, time.monotonic()
        with closing(Database(self._patience_s)) as database:
            while rows < published and time.monotonic() - changed < self._patience_s:
                began = time.monotonic()
                [[now]] = await database.ask(_COUNT, *self._where)
                if now != rows:
                    rows, changed = now, time.monotonic()
                await asyncio.sleep(max(time.monotonic() - began, _POLL_S))  # half of the time

    async def count(self) -> Stored:
        """All of them, one by one."""
        refused = f"{self._prefix}%", self._registered.since
        with closing(Database(self._patience_s)) as database:
            [[rows]] = await database.ask(_COUNT, *self._where)
            [[distinct]] = await database.ask(_COUNT_DISTINCT, *self._where)
            [[quarantined]] = await database.ask(_REFUSED, *refused)
        return Stored(rows, distinct, quarantined)

    async def rolled_up(self) -> bool:
        """Wait until all that is stored now is in the roll-ups; whether it is, in a minute."""
        deadline = time.monotonic() + _ROLL_UP_S
        with closing(Database(self._patience_s)) as database:
            [[now]] = await database.ask("SELECT clock_timestamp()")
            while time.monotonic() < deadline:
                [[left]] = await database.ask(_NOT_ROLLED_UP, now)
                if not left:
                    return True
                await asyncio.sleep(_POLL_S)
        return False
