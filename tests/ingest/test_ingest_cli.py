"""`shudao ingest` as typed: workers that share, a number of them that changes, a clean stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from shudao.local.process import free_ports
from tests.ingest.conftest import now_ms, radio
from tests.ingest.test_pipeline import publish, until

PATIENCE_S = 60.0
"""Processes start slowly on a machine that is busy with other tests."""
TOPIC = "shudao/v1/telecom/radio/nb-telecom-a"


class Process(NamedTuple):
    """A running `shudao ingest`, and what it logs."""

    process: subprocess.Popen[bytes]
    log: Path

    def says(self, words: str) -> int:
        return self.log.read_text().count(words)

    async def subscribed(self, times: int = 1) -> None:
        async def is_so() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.says("subscribed") >= times

        await until(is_so, seconds=PATIENCE_S)

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.process.wait, PATIENCE_S) == 0, self.log.read_text()


Start = Callable[..., Process]


@pytest.fixture
def start(
    tmp_path: Path, database_url: str, mqtt_url: str, devices: dict[str, int]
) -> Iterator[Start]:
    """Starts `shudao ingest` with a client id of the test's own; its sessions are ended."""
    client_id, started = f"test-{uuid.uuid4().hex}", []
    environment = os.environ | {"SHUDAO_DATABASE_URL": database_url, "SHUDAO_MQTT_URL": mqtt_url}

    def run(*arguments: str) -> Process:
        log = tmp_path / f"{len(started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "shudao", "ingest", "--client-id", client_id,
                 *(arguments or ("--metrics-port", "0"))],
                env=environment, stdout=output, stderr=output,
            )  # fmt: skip
        started.append(Process(process, log))
        return started[-1]

    yield run
    for p in started:
        p.process.kill()
        p.process.wait()
    asyncio.run(_end_sessions(mqtt_url, client_id))


async def _end_sessions(url: str, client_id: str) -> None:
    from ingest.retire import leftovers, worker_options
    from ingest.sources import SourceOptions
    from ingest.sources.mqtt5 import Mqtt5Source

    options = SourceOptions(url=url, client_id=client_id)
    for left in [*leftovers(options, 1), *leftovers(worker_options(options, 1, 0), 16)]:
        source = Mqtt5Source(left)
        async for batch in source.batches():
            await batch.acknowledge()


async def stored(connection: Any, count: int) -> None:
    async def is_so() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM radio_sample") == count)

    await until(is_so, seconds=PATIENCE_S)


async def test_workers_share_the_messages_and_a_smaller_number_takes_over_what_is_left(
    start: Start, connection: Any, mqtt_url: str
) -> None:
    """Three, then two, then one: what the broker kept for a worker that is gone is ingested too."""
    t = now_ms()
    port = str(next(free_ports(None, "workers")))
    three = start("--workers", "3", "--metrics-port", port)
    await three.subscribed(3)
    await publish(mqtt_url, [(TOPIC, radio(t + i)) for i in range(300)])
    await stored(connection, 300)
    counts = []
    async with httpx.AsyncClient() as pages:
        for worker in range(3):
            page = await pages.get(f"http://127.0.0.1:{int(port) + worker}/metrics")
            [line] = [x for x in page.text.splitlines() if x.startswith("shudao_ingest_messages_t")]
            counts.append(float(line.split()[1]))
    assert sum(counts) == 300
    assert min(counts) > 0
    await three.stop()
    await publish(mqtt_url, [(TOPIC, radio(t + i)) for i in range(300, 600)])
    two = start("--workers", "2")
    await two.subscribed(2)
    await stored(connection, 600)
    await two.stop()
    await publish(mqtt_url, [(TOPIC, radio(t + i)) for i in range(600, 900)])
    one = start()
    await one.subscribed()
    await stored(connection, 900)
    await one.stop()
    assert await connection.fetchval("SELECT sum(radio_n) FROM coverage_hour") == 900
    assert await connection.fetchval("SELECT sum(duplicates) FROM ingest_minute") == 0


@pytest.mark.parametrize("source", ["mqtt5", "aiomqtt", "auto"])
async def test_a_stop_finishes_what_is_in_hand(
    start: Start, connection: Any, mqtt_url: str, source: str
) -> None:
    """In the middle of a stream: exit code 0, all that was taken is committed and acknowledged."""
    process = start("--source", source, "--metrics-port", "0")
    await process.subscribed()
    t = now_ms()
    sending = asyncio.create_task(publish(mqtt_url, [(TOPIC, radio(t + i)) for i in range(1500)]))
    await asyncio.sleep(0.3)
    await process.stop()
    before = await connection.fetchval("SELECT count(*) FROM radio_sample")
    waiting = await connection.fetchval("SELECT count(*) FROM rollup_journal")
    await sending
    again = start("--source", source, "--metrics-port", "0")
    await again.subscribed()
    await stored(connection, 1500)
    await again.stop()
    assert waiting == 0
    assert before > 0
    assert await connection.fetchval("SELECT sum(duplicates) FROM ingest_minute") == 0


async def test_a_port_that_is_taken_is_one_clear_line(start: Start, mqtt_url: str) -> None:
    """When it was asked for."""
    first = start("--metrics-port", port := str(next(free_ports(None, "taken"))))
    await first.subscribed()
    second = start("--metrics-port", port)
    assert await asyncio.to_thread(second.process.wait, PATIENCE_S) == 1
    assert second.says(f"port {port} on 127.0.0.1 is in use") == 1
    assert second.says("Traceback") == 0


async def test_health_over_http(start: Start) -> None:
    """As whatever restarts it would ask."""
    port = str(next(free_ports(None, "health")))
    process = start("--metrics-port", port)
    await process.subscribed()
    async with httpx.AsyncClient() as pages:
        answer = await pages.get(f"http://127.0.0.1:{port}/healthz")
    assert (answer.status_code, json.loads(answer.text)["status"]) == (200, "ok")
    await process.stop()
