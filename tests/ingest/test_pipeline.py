"""Broker to database: nothing is acknowledged before its commit, nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import pytest

from ingest.ingester import Ingester
from ingest.pipeline import run
from ingest.receipt import Receipt
from ingest.sources import RawBatch, Source, SourceOptions
from ingest.sources.aiomqtt import AiomqttSource
from ingest.sources.mqtt5 import Mqtt5Source
from tests.ingest.conftest import now_ms, radio


async def publish(url: str, messages: list[tuple[str, Any]]) -> None:
    parts = urlsplit(url)
    async with aiomqtt.Client(parts.hostname or "", parts.port or 1883) as client:
        for topic, payload in messages:
            raw = payload if isinstance(payload, bytes) else json.dumps(payload)
            await client.publish(topic, raw, qos=1)


async def until(condition: Any, *, seconds: float = 20) -> None:
    """Wait for an async condition; fails the test when it does not come."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the condition lives in the database
            await asyncio.sleep(0.05)


class Running:
    """A pipeline in the background, on a topic of the test's own."""

    def __init__(self, source: Source, database_url: str) -> None:
        self.source = source
        self.task = asyncio.create_task(run(self.source, Ingester(database_url, origin="mqtt")))

    async def connected(self) -> None:
        async def is_connected() -> bool:
            return self.source.connected or self.task.done()

        await until(is_connected)
        assert not self.task.done(), self.task.exception()

    async def finish(self) -> Receipt:
        self.source.stop()
        return await asyncio.wait_for(self.task, 10)

    async def kill(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def start_reading(
    source: Source,
) -> tuple[AsyncGenerator[RawBatch, None], asyncio.Future[RawBatch]]:
    """A source's batches, and the first of them to come; returns once it is connected."""
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))

    async def is_connected() -> bool:
        return source.connected

    await until(is_connected)
    return batches, first


@pytest.fixture
def client_id() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture(params=[Mqtt5Source, AiomqttSource])
def make_source(
    request: pytest.FixtureRequest, mqtt_url: str, client_id: str
) -> Callable[[], Source]:
    """A new source on the test's own session."""
    options = SourceOptions(url=mqtt_url, client_id=client_id, batch_ms=100)
    return lambda: request.param(options)  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
async def no_sessions_left(mqtt_url: str, client_id: str) -> Any:
    yield
    parts = urlsplit(mqtt_url)
    async with aiomqtt.Client(
        parts.hostname or "", parts.port or 1883, identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5, clean_start=True,
    ):  # fmt: skip
        pass  # a clean start ends the persistent session


async def test_messages_are_stored_and_acknowledged(
    mqtt_url: str, database_url: str, devices: dict[str, int],
    make_source: Callable[[], Source], connection: asyncpg.Connection[Any],
) -> None:  # fmt: skip
    """Published, committed, gone from the broker: a second reader finds nothing."""
    first = Running(make_source(), database_url)
    await first.connected()
    t = now_ms()
    sent: list[tuple[str, Any]] = [
        ("shudao/v1/telecom/radio/nb-telecom-a", radio(t + i)) for i in range(500)
    ]
    await publish(mqtt_url, [*sent, ("shudao/v1/telecom/radio/nb-telecom-a", b"{oops")])

    async def stored() -> bool:
        return bool(await connection.fetchval("SELECT sum(received) FROM ingest_minute") == 501)

    await until(stored)
    total = await first.finish()
    assert (total.stored, total.quarantined) == (500, {"malformed": 1})
    second = Running(make_source(), database_url)
    await second.connected()
    await asyncio.sleep(1)
    assert (await second.finish()).received == 0


async def test_nothing_is_acknowledged_before_its_commit(
    mqtt_url: str, database_url: str, devices: dict[str, int],
    make_source: Callable[[], Source], connection: asyncpg.Connection[Any],
) -> None:  # fmt: skip
    """An ingester that dies while its commit is held up has lost nothing: it all comes again."""
    first = Running(make_source(), database_url)
    await first.connected()
    t = now_ms()
    locker = await asyncpg.connect(database_url)
    async with locker.transaction():
        await locker.execute("LOCK TABLE radio_sample IN ACCESS EXCLUSIVE MODE")
        await publish(
            mqtt_url,
            [("shudao/v1/telecom/radio/nb-telecom-a", radio(t + i)) for i in range(50)],
        )

        async def is_waiting() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                )
            )

        await until(is_waiting)
        await first.kill()
    await locker.close()
    assert await connection.fetchval("SELECT count(*) FROM radio_sample") == 0
    second = Running(make_source(), database_url)

    async def stored() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM radio_sample") == 50)

    await until(stored)
    assert (await second.finish()).stored == 50
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 50


async def test_an_ingester_that_dies_after_its_commit_counts_nothing_twice(
    mqtt_url: str, database_url: str, devices: dict[str, int],
    make_source: Callable[[], Source], connection: asyncpg.Connection[Any],
) -> None:  # fmt: skip
    """Committed but not yet acknowledged: the redelivery is all duplicates."""
    ingester = Ingester(database_url, origin="mqtt")
    source = make_source()
    batches, reading = await start_reading(source)
    t = now_ms()
    await publish(
        mqtt_url, [("shudao/v1/telecom/radio/nb-telecom-a", radio(t + i)) for i in range(20)]
    )
    batch = await reading
    committed = await ingester.store_messages(batch.messages)
    await batches.aclose()
    await ingester.aclose()
    assert committed.stored > 0
    second = Running(make_source(), database_url)

    async def all_stored() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM radio_sample") == 20)

    await until(all_stored)
    await asyncio.sleep(0.5)
    total = await second.finish()
    assert total.duplicates == committed.stored
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_minute") == 20


async def test_a_database_that_goes_away_loses_nothing(
    mqtt_url: str, database_url: str, devices: dict[str, int],
    make_source: Callable[[], Source], connection: asyncpg.Connection[Any],
) -> None:  # fmt: skip
    """Connections cut again and again while samples arrive: each one is stored once."""
    running = Running(make_source(), database_url)
    await running.connected()
    t = now_ms()
    for burst in range(5):
        await publish(
            mqtt_url,
            [("shudao/v1/telecom/radio/nb-telecom-a", radio(t + burst * 100 + i))
             for i in range(100)],
        )  # fmt: skip
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )

    async def stored() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM radio_sample") == 500)

    await until(stored)
    await running.finish()
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 500
    assert await connection.fetchval("SELECT sum(samples) FROM device_seen") == 500


async def test_an_unreachable_broker_is_one_clear_line(database_url: str) -> None:
    """At the start, that is; later it is waited for."""
    from shudao.errors import ShudaoError

    source = Mqtt5Source(SourceOptions(url="mqtt://127.0.0.1:1", client_id="x"))
    with pytest.raises(ShudaoError, match=r"127\.0\.0\.1:1 cannot be reached.*SHUDAO_MQTT_URL"):
        await run(source, Ingester(database_url, origin="mqtt"))
