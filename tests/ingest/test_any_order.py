"""Whatever order, duplication, division into batches and number of ingesters: the same numbers.

This is what makes at-least-once delivery exact: a sample is a fact with a key, storing it again
changes nothing, and roll-ups are sums over facts. The roll-ups are compared with a recomputation
in SQL that shares nothing with ingest/rollup.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.batch import Message
from ingest.ingester import Ingester
from shudao.streams import (
    BROADBAND,
    DOWN_EDGES_MBPS,
    RADIO,
    RSRP_EDGES_DBM,
    SINR_EDGES_DB,
    STREAMS,
    Stream,
    StreamName,
)
from tests.faults import recompute
from tests.ingest.conftest import message, now_ms

MINUTE, HOUR = 60_000, 3_600_000
STORED = (
    "radio_sample", "broadband_sample", "coverage_minute", "coverage_hour", "ingest_minute",
    "device_seen", "rollup_journal",
)  # fmt: skip
CARRIERS = {"nb-telecom-a": "telecom", "nb-mobile-b": "mobile", "bb-telecom-a": "telecom"}
BASE_MS = now_ms() // HOUR * HOUR

Sample = tuple[StreamName, str, dict[str, Any]]
"""Stream, device, fields as sent."""


def around(edges: tuple[float, ...], low: float, high: float) -> st.SearchStrategy[float | None]:
    """Values of a field: the edges of its bins, anything in range, or none."""
    return st.none() | st.sampled_from(edges) | st.floats(low, high, width=32)


TIMES = st.builds(
    lambda hour, minute, ms: BASE_MS - hour * HOUR + minute * MINUTE + ms,
    st.sampled_from([1, 2, 30]), st.integers(0, 2), st.integers(0, 3),
)  # fmt: skip
RADIO_FIELDS = st.fixed_dictionaries(
    {
        "time": TIMES,
        "rsrq_db": st.just(-10.0),
        "rsrp_dbm": around(RSRP_EDGES_DBM, -129, -31),
        "sinr_db": around(SINR_EDGES_DB, -30, 40),
        "rtt_ms": st.none() | st.floats(0, 600_000, width=32),
        "ecl": st.none() | st.integers(0, 2),
        "technology": st.sampled_from(["nbiot", "lte"]),
    }
)
BROADBAND_FIELDS = st.fixed_dictionaries(
    {
        "time": TIMES,
        "up_mbps": st.floats(0, 1_000, width=32),
        "down_mbps": around(DOWN_EDGES_MBPS, 0, 1_000),
        "jitter_ms": st.none() | st.floats(0, 60, width=32),
        "ipv6": st.none() | st.integers(0, 1),
    }
)
SAMPLES = st.lists(
    st.one_of(
        st.tuples(st.just("radio"), st.sampled_from(["nb-telecom-a", "nb-mobile-b"]), RADIO_FIELDS),
        st.tuples(st.just("broadband"), st.just("bb-telecom-a"), BROADBAND_FIELDS),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda s: (s[0], s[1], s[2]["time"]),
)


@dataclass(frozen=True)
class Delivery:
    """Samples, and how they come: for each of two ingesters its batches."""

    samples: list[Sample]
    batches: tuple[list[list[Sample]], list[list[Sample]]]


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    """Each sample at least once, in any order, in any batches, at either ingester."""
    samples = draw(SAMPLES)
    again = draw(st.lists(st.sampled_from(samples), max_size=8))
    batches: tuple[list[list[Sample]], list[list[Sample]]] = ([[]], [[]])
    for sample in draw(st.permutations(samples + again)):
        mine = batches[draw(st.integers(0, 1))]
        if draw(st.booleans()):
            mine.append([])
        mine[-1].append(sample)
    return Delivery(samples, batches)


@pytest.fixture
async def ingesters(
    database_url: str, devices: dict[str, int]
) -> AsyncIterator[tuple[Ingester, Ingester]]:
    """Two, as two workers are."""
    both = Ingester(database_url, origin="mqtt"), Ingester(database_url, origin="mqtt")
    yield both
    for ingester in both:
        await ingester.aclose()


@given(delivery=deliveries())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_order_duplication_and_division_give_the_same_numbers(
    ingesters: tuple[Ingester, Ingester],
    devices: dict[str, int],
    connection: asyncpg.Connection[Any],
    delivery: Delivery,
) -> None:
    """Raw rows are the samples, once each; roll-ups, last-seen and ledger follow from them."""
    await connection.execute("; ".join(f"DELETE FROM {table}" for table in STORED))

    async def ingest(ingester: Ingester, batches: list[list[Sample]]) -> None:
        for batch in batches:
            await ingester.store_messages([_message(sample) for sample in batch])
            await ingester.roll_up()

    await asyncio.gather(*map(ingest, ingesters, delivery.batches))
    await asyncio.gather(*(ingester.roll_up() for ingester in ingesters))
    for stream in (RADIO, BROADBAND):
        wanted = [_row(stream, devices, s) for s in delivery.samples if s[0] == stream.name]
        assert await _raw(connection, stream) == sorted(wanted, key=_key)
    for table in recompute.TABLES:
        wanted_rollup = await recompute.expected(connection, table)
        found = await recompute.found(connection, table)
        assert recompute.differences(wanted_rollup, found) == []
    count = len(delivery.samples)
    assert await connection.fetchval("SELECT sum(samples) FROM device_seen") == count
    assert await connection.fetchval("SELECT sum(stored) FROM ingest_minute") == count


def _message(sample: Sample) -> Message:
    stream, device, fields = sample
    return message(device, fields, stream=stream, carrier=CARRIERS[device])


def _row(stream: Stream, devices: dict[str, int], sample: Sample) -> tuple[Any, ...]:
    """Device, time and fields of a sample as the raw table must hold them."""
    _, device, fields = sample
    values = [
        float(np.float32(v)) if (v := fields.get(f.name)) is not None and f.dtype == "f4" else v
        for f in STREAMS[stream.name].fields
    ]
    return (devices[device], fields["time"], *values)


async def _raw(connection: asyncpg.Connection[Any], stream: Stream) -> list[tuple[Any, ...]]:
    columns = ", ".join(f.name for f in stream.fields)
    rows = await connection.fetch(
        "SELECT device_id, round(extract(epoch FROM time) * 1000)::bigint AS time_ms,"
        f" {columns} FROM {stream.table}"
    )
    return sorted((tuple(r) for r in rows), key=_key)


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:2]
