"""The ingester's own pages tell the truth: with all well, without a broker, without a database."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from ingest.health import create_app
from ingest.ingester import Ingester
from ingest.pipeline import Pipeline
from ingest.sources import SourceOptions
from ingest.sources.mqtt5 import Mqtt5Source
from tests.faults.proxy import Link, open_link
from tests.ingest.conftest import now_ms, radio
from tests.ingest.test_pipeline import publish, until


class Watched:
    """A pipeline whose cables to the broker and to the database can be cut."""

    def __init__(self, pipeline: Pipeline, broker: Link, database: Link) -> None:
        self.pipeline, self.broker, self.database = pipeline, broker, database
        app = create_app(pipeline.health, pipeline.metrics.registry)
        self._pages = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")

    async def get(self, page: str) -> httpx.Response:
        return await self._pages.get(page)

    async def until(self, page: str, status: int) -> dict[str, Any]:
        async def answers() -> bool:
            return (await self.get(page)).status_code == status

        await until(answers)
        return dict((await self.get(page)).json())

    async def metric(self, name: str) -> float:
        lines = (await self.get("/metrics")).text.splitlines()
        found = [line.split()[-1] for line in lines if line.startswith(name + " ")]
        return float(found[0]) if found else 0.0


async def link_to(url: str) -> tuple[Link, str]:
    """A cable to a server, and the URL at its other end."""
    parts = urlsplit(url)
    link = await open_link(parts.hostname or "", parts.port or 0)
    there = parts.netloc.rpartition("@")[0]
    netloc = f"{there}@127.0.0.1:{link.port}" if there else f"127.0.0.1:{link.port}"
    return link, urlunsplit(parts._replace(netloc=netloc))


@pytest.fixture
async def watched(
    mqtt_url: str, database_url: str, devices: dict[str, int]
) -> AsyncIterator[Watched]:
    broker, broker_url = await link_to(mqtt_url)
    database, far_database = await link_to(database_url)
    source = Mqtt5Source(
        SourceOptions(url=broker_url, client_id=f"test-{uuid.uuid4().hex}", batch_ms=50)
    )
    pipeline = Pipeline.of(source, Ingester(far_database, origin="mqtt"))
    yield Watched(pipeline, broker, database)
    await broker.aclose()
    await database.aclose()


@contextlib.asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[None]:
    task = asyncio.create_task(watched.pipeline.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_not_ready_before_the_start_and_ready_after_it(watched: Watched) -> None:
    """Ready means subscribed, and heard from the database."""
    assert (await watched.get("/readyz")).status_code == 503
    async with running(watched):
        assert (await watched.until("/readyz", 200))["ready"]
        assert (await watched.get("/healthz")).json() == {
            "status": "ok", "problems": [], "in_flight": 0, "oldest_batch_age_s": 0,
            "reconnects": 0,
        }  # fmt: skip


async def test_a_cut_from_the_broker_shows_and_passes(watched: Watched) -> None:
    """While it lasts both pages say so; afterwards the reconnect is counted."""
    async with running(watched):
        await watched.until("/readyz", 200)
        target, watched.broker.target = watched.broker.target, ("127.0.0.1", 1)
        watched.broker.cut()
        report = await watched.until("/healthz", 503)
        assert report["problems"] == ["the broker does not answer"]
        assert (await watched.get("/readyz")).status_code == 503
        watched.broker.target = target
        await watched.until("/healthz", 200)
        assert await watched.metric("shudao_ingest_reconnects_total") >= 1


async def test_a_database_that_is_away_shows_and_passes(
    watched: Watched, mqtt_url: str, connection: asyncpg.Connection[Any]
) -> None:
    """Also while no message arrives; what came meanwhile is in flight, then stored."""
    async with running(watched):
        await watched.until("/readyz", 200)
        target, watched.database.target = watched.database.target, ("127.0.0.1", 1)
        watched.database.cut()
        report = await watched.until("/healthz", 503)
        assert report["problems"] == [
            "the database does not answer, or does not take what it is given"
        ]
        await publish(mqtt_url, [("shudao/v1/telecom/radio/nb-telecom-a", radio(now_ms()))])

        async def is_in_flight() -> bool:
            return await watched.metric("shudao_ingest_in_flight") == 1

        await until(is_in_flight)
        watched.database.target = target
        await watched.until("/healthz", 200)

        async def is_stored() -> bool:
            return bool(await connection.fetchval("SELECT count(*) FROM radio_sample") == 1)

        await until(is_stored)


async def test_a_batch_that_hangs_is_a_problem(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason is."""
    monkeypatch.setattr("ingest.health.HANGS_AFTER_S", 0.0)
    watched.pipeline.health.batch_begins()
    await asyncio.sleep(0.01)
    assert "the oldest batch waits for 0 s" in watched.pipeline.health.problems()
    watched.pipeline.health.batch_ends()
    assert watched.pipeline.health.batch_age_s == 0


async def test_roll_ups_that_fail_are_a_problem_and_samples_are_stored_all_the_same(
    watched: Watched, mqtt_url: str, connection: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """They wait in the journal, and are rolled up once it is mended."""
    monkeypatch.setattr("ingest.pipeline._ROLL_UP_RETRY_S", 0.1)
    await connection.execute("ALTER TABLE coverage_minute ADD CONSTRAINT none CHECK (radio_n < 0)")
    try:
        async with running(watched):
            await watched.until("/readyz", 200)
            await publish(mqtt_url, [("shudao/v1/telecom/radio/nb-telecom-a", radio(now_ms()))])
            report = await watched.until("/healthz", 503)
            assert 'violates check constraint "none"' in report["problems"][0]
            assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 1
            await connection.execute("ALTER TABLE coverage_minute DROP CONSTRAINT none")
            await watched.until("/healthz", 200)
    finally:
        await connection.execute("ALTER TABLE coverage_minute DROP CONSTRAINT IF EXISTS none")
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_minute") == 1


async def test_metrics_count_what_was_committed(watched: Watched, mqtt_url: str) -> None:
    """Received is stored plus duplicates plus quarantined; the lag is that of the measurement."""
    t = now_ms()
    topic = "shudao/v1/telecom/radio/nb-telecom-a"
    async with running(watched):
        await watched.until("/readyz", 200)
        sent: list[tuple[str, Any]] = [(topic, radio(t - 40_000)), (topic, radio(t - 40_000))]
        await publish(mqtt_url, [*sent, (topic, b"{oops"), (topic, [radio(t), radio(t - 1)])])

        async def all_counted() -> bool:
            return await watched.metric("shudao_ingest_received_total") == 5

        await until(all_counted)
        assert await watched.metric("shudao_ingest_stored_total") == 3
        assert await watched.metric("shudao_ingest_duplicates_total") == 1
        assert await watched.metric('shudao_ingest_quarantined_total{reason="malformed"}') == 1
        assert await watched.metric("shudao_ingest_messages_total") == 4
        assert await watched.metric('shudao_ingest_lag_seconds_bucket{le="30.0"}') == 2
        assert await watched.metric('shudao_ingest_lag_seconds_bucket{le="60.0"}') == 4
        assert await watched.metric("shudao_ingest_batch_samples_sum") == 5
        assert await watched.metric("shudao_ingest_commit_seconds_count") >= 1

        async def all_rolled_up() -> bool:
            return await watched.metric('shudao_ingest_rolled_up_total{rollup="hours"}') == 3

        await until(all_rolled_up)
