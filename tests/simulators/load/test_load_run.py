"""A whole run against a broker, an ingester and the database: what is lost is found."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import aiomqtt
import asyncpg
import pytest
from rich.console import Console

from ingest.sources import SourceOptions
from ingest.sources.mqtt5 import Mqtt5Source
from shudao.errors import ShudaoError
from shudao.settings import get_settings
from simulators.load.plan import Plan
from simulators.load.register import remove
from simulators.load.report import Report
from simulators.load.run import run
from simulators.load.schedule import Curve, Shape
from tests.conftest import with_database
from tests.ingest.brokers import Mosquitto, mosquitto
from tests.ingest.test_pipeline import Running, until
from tests.simulators.load.liar import lying

Connection: TypeAlias = "asyncpg.Connection[Any]"
TABLES = ("device", "device_seen", "radio_sample", "coverage_minute", "coverage_hour")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
async def ingester(
    broker: Mosquitto, database_url: str, connection: Connection
) -> AsyncIterator[Running]:
    options = SourceOptions(url=url_of(broker), client_id="ingester", batch_ms=300)
    running = Running(Mqtt5Source(options), database_url)
    await running.connected()
    yield running
    if not running.task.done():
        await running.kill()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[None]:
    monkeypatch.setenv("SHUDAO_DATABASE_URL", database_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def url_of(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


async def measure(
    url: str, *, keep: bool = False, max_p99_ms: float | None = None, **changes: Any
) -> Report:
    """2,000 messages in half a second, over 8 connections."""
    wanted = {
        "url": url, "devices": 400, "connections": 8, "duration_s": 0.5,
        "curve": Curve(Shape.STEADY, 4_000, 0.5), "patience_s": 1.0,
    }  # fmt: skip
    plan = Plan(**(wanted | changes))  # type: ignore[arg-type]
    return await run(plan, Console(file=StringIO()), max_p99_ms=max_p99_ms, keep=keep)


async def count(connection: Connection, table: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_all_is_committed_and_nothing_stays(
    ingester: Running, broker: Mosquitto, connection: Connection
) -> None:
    """Every message once, soon to be selected; then the database is as before."""
    report = await measure(url_of(broker), max_p99_ms=5_000)
    assert report.ok, report.failures
    assert report.published == report.acknowledged == report.committed == 2_000
    assert (report.lost, report.quarantined, report.stored_twice) == (0, 0, 0)
    p50, worst = report.publish_to_queryable_ms["p50"], report.publish_to_queryable_ms["max"]
    assert 5 < (p50 or 0) < (worst or 0) < 5_000

    async def is_rolled_up() -> bool:
        return not await count(connection, "rollup_journal")

    await until(is_rolled_up)
    assert [await count(connection, table) for table in TABLES] == [0] * len(TABLES)
    assert await count(connection, "place WHERE source = 'load'") == 0


async def test_its_devices_stand_at_places_that_no_goal_counts(
    ingester: Running, broker: Mosquitto, connection: Connection
) -> None:
    """The roll-ups have a row a place and carrier; kept, until they are removed."""
    report = await measure(url_of(broker), keep=True)
    assert report.committed == 2_000

    async def is_rolled_up() -> bool:
        return bool(await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 2_000)

    await until(is_rolled_up)
    assert await count(connection, "coverage_hour") == 400
    vintages = await connection.fetch("SELECT DISTINCT vintage FROM place WHERE source = 'load'")
    known = await connection.fetch("SELECT vintage FROM vintage")
    assert not {row[0] for row in vintages} & {row[0] for row in known}
    await connection.execute(
        "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
        " VALUES ('load-1-of-others', 1, 1, 'sensor', 'registered')"
    )
    assert await remove(connection) == 400
    assert [await count(connection, table) for table in TABLES] == [1, 0, 0, 0, 0]


async def test_without_an_ingester_nothing_is_committed(
    broker: Mosquitto, connection: Connection
) -> None:
    """All is lost, though the broker acknowledged it; the devices stay for what may yet come."""
    report = await measure(url_of(broker), max_p99_ms=10_000)
    assert report.published == report.acknowledged == report.lost == 2_000
    assert report.committed == 0
    assert "2,000 of 2,000 messages are lost (100.00%)" in report.failures
    assert "publish-to-queryable p99 is unknown, more than 10,000.0 ms" in report.failures
    assert await count(connection, "device") == 400


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_proxy_that_drops_two_per_cent_is_found(
    qos: int, ingester: Running, broker: Mosquitto
) -> None:
    """Exactly those that it swallowed are lost, whatever it acknowledged."""
    async with lying(url_of(broker), share=0.02) as liar:
        report = await measure(liar.url, qos=qos)
    assert report.lost == liar.swallowed
    assert report.lost == pytest.approx(40, abs=20)
    assert report.acknowledged == (2_000 if qos else None)
    assert not report.ok


async def test_a_database_without_tables_is_one_clear_line(
    services: tuple[str, str], monkeypatch: pytest.MonkeyPatch, broker: Mosquitto
) -> None:
    """Before anything is published."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", with_database(services[0], "postgres"))
    get_settings.cache_clear()
    with pytest.raises(ShudaoError, match="shudao db migrate"):
        await measure(url_of(broker))


async def test_a_broker_that_is_away_leaves_no_devices(connection: Connection) -> None:
    """One clear line, and what was registered is removed."""
    with pytest.raises(ShudaoError, match="does not take all connections"):
        await measure("mqtt://127.0.0.1:1")
    assert await count(connection, "device") == 0


@pytest.mark.parametrize(
    ("changes", "hint"),
    [({"devices": 7}, "cannot share 8 connections"),
     ({"curve": Curve(Shape.BURST, 100_000, 1)}, "more --devices"),
     ({"url": "http://127.0.0.1"}, "no MQTT address")],
)  # fmt: skip
async def test_an_impossible_plan_is_refused(
    changes: dict[str, Any], hint: str, connection: Connection
) -> None:
    """With what to choose instead, before a device is registered."""
    with pytest.raises(ShudaoError, match=hint):
        await measure(**({"url": "mqtt://127.0.0.1:1"} | changes))
    assert await count(connection, "device") == 0


def start(broker: Mosquitto, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shudao", "load", "--connections", "4", *arguments],
        env=os.environ | {"SHUDAO_MQTT_URL": url_of(broker)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def test_ctrl_c_ends_it_with_a_result(broker: Mosquitto) -> None:
    """JSON for a pipeline, of what was published until then; only the broker is asked."""
    arguments = ["--json", "--rate", "100", "--duration", "20s", "--mqtt", "3.1.1"]
    process = start(broker, "--no-verify", *arguments)
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("shudao-load/#")
        await anext(aiter(client.messages))
    await asyncio.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert 0 < result["published"] == result["acknowledged"] < 500
    assert (result["lost"], result["committed"]) == (0, None)
    assert "broker alone" in err


async def test_exceeding_the_limit_is_exit_code_1(broker: Mosquitto) -> None:
    """The table says why."""
    process = start(broker, "--no-verify", "--duration", "200ms", "--max-p99", "0.001ms")
    out, _ = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 1
    assert "publish-to-acknowledge p99" in out
