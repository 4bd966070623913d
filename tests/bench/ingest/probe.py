"""How long until one sample can be selected: one device among all, asked for all the time.

The device publishes on a schedule and does not wait for answers, so a slow spell is not skipped.
The poller has a database connection of its own and asks every few milliseconds for the samples
that are still out: what it measures includes its own interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import numpy as np

from shudao.streams import topic
from simulators.load import wire

PROBE, PROBE_CARRIER = "bench-probe", "telecom"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_S = 0.008
_LAST_SEEN_PATIENCE_S = 5.0
RSRP_X100 = -9_325
_SEEN = "SELECT time FROM radio_sample WHERE device_id = $1 AND time >= $2"


class Probe:
    """One device with its own connection to the broker, open inside ``async with``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._topic = topic(PROBE_CARRIER, "radio", PROBE)
        self._last_ms = 0
        self._packets = 0
        self._sent_at: dict[int, float] = {}
        """Time of measurement (ms) → when it was published."""
        self._seen_at: dict[int, float] = {}
        self._out: dict[int, None] = {}
        """Times of those that were not seen yet, in order."""

    async def __aenter__(self) -> Probe:
        where = urlsplit(self._url)
        reader, self._writer = await asyncio.open_connection(where.hostname, where.port)
        self._writer.write(wire.connect(PROBE))
        await reader.readexactly(4)
        self._reading = asyncio.create_task(_read_away(reader))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await _cancelled(self._reading)

    @property
    def published(self) -> int:
        """Samples since `forget`."""
        return len(self._sent_at)

    def forget(self) -> None:
        """Begin a new measurement."""
        self._sent_at, self._seen_at, self._out = {}, {}, {}

    def publish(self) -> None:
        """Send one sample of now."""
        self._last_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        body = {"time": self._last_ms, "rsrp_dbm": RSRP_X100 / 100, "sinr_db": 5.5, "ecl": 0}
        self._packets = self._packets % wire.MAX_UNACKNOWLEDGED + 1
        self._sent_at[self._last_ms] = time.monotonic()
        self._out[self._last_ms] = None
        self._writer.write(wire.publish(self._topic, self._packets, msgspec.json.encode(body)))

    @asynccontextmanager
    async def publishing(self, *, every_s: float | None) -> AsyncIterator[None]:
        """Publish on a schedule meanwhile; None: nothing."""
        if every_s is None:
            yield
            return
        task = asyncio.create_task(self._publish_every(every_s))
        try:
            yield
        finally:
            await _cancelled(task)

    async def _publish_every(self, every_s: float) -> None:
        turn = time.monotonic()
        while True:
            self.publish()
            turn += every_s
            await asyncio.sleep(max(turn - time.monotonic(), 0))

    @asynccontextmanager
    async def watched(self, database_url: str, device_id: int) -> AsyncIterator[None]:
        """Note meanwhile when each sample can be selected; at the end wait for the last ones."""
        connection = await asyncpg.connect(database_url)
        task = asyncio.create_task(self._watch(connection, device_id))
        try:
            yield
            deadline = time.monotonic() + _LAST_SEEN_PATIENCE_S
            while self._out and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        finally:
            await _cancelled(task)
            connection.terminate()

    async def _watch(self, connection: asyncpg.Connection[Any], device_id: int) -> None:
        ask = await connection.prepare(_SEEN)
        while True:
            if self._out:
                oldest = _EPOCH + timedelta(milliseconds=next(iter(self._out)))
                rows = await ask.fetch(device_id, oldest)
                now = time.monotonic()
                for row in rows:
                    time_ms = (row[0] - _EPOCH) // timedelta(milliseconds=1)
                    if time_ms in self._out:
                        del self._out[time_ms]
                        self._seen_at[time_ms] = now
            await asyncio.sleep(_POLL_S)

    def latencies_ms(self, since: float, until: float) -> dict[str, object]:
        """Quantiles over the samples that were published in an interval of the monotonic clock."""
        took = [
            (self._seen_at[t] - at) * 1000
            for t, at in self._sent_at.items()
            if since <= at <= until and t in self._seen_at
        ]
        if not took:
            return {"samples": 0}
        p50, p95, p99 = np.percentile(took, [50, 95, 99])
        return {
            "samples": len(took),
            **{k: round(float(v), 1) for k, v in
               {"p50": p50, "p95": p95, "p99": p99, "max": max(took)}.items()},
        }  # fmt: skip


async def _read_away(reader: asyncio.StreamReader) -> None:
    """PUBACKs; whether all was stored is counted in the database."""
    while await reader.read(65_536):
        pass


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Stop a task; raises what it failed with."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
