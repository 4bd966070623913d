"""``shudao simulate --replay`` as a user meets it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from ingest.ingester import Ingester
from ingest.pipeline import run
from ingest.recorded.importer import NO_LIMITS, Importer
from ingest.recorded.load import recognise
from ingest.sources import SourceOptions
from ingest.sources.mqtt5 import Mqtt5Source
from shudao.cli import main
from shudao.settings import get_settings
from shudao.vocabulary import Carrier
from simulators.broker import check_broker
from tests.ingest.import_twice import DATA, VINTAGE
from tests.ingest.test_pipeline import until
from tests.simulators.test_simulate_cli import start

Connection: TypeAlias = "asyncpg.Connection[Any]"
VILLAGE = "510104020007"
RUN = "w2s_n78_v50_run05.txt.gz"
YEARS = "speedtests_2017-2019.csv.gz"


async def stored(connection: Connection) -> list[asyncpg.Record]:
    return list(
        await connection.fetch(
            "SELECT name, kind, source, radio_sample.* FROM radio_sample"
            " JOIN device USING (device_id) ORDER BY name, time"
        )
    )


@pytest.fixture
async def ingesting(
    connection: Connection, database_url: str, mqtt_url: str
) -> AsyncIterator[None]:
    """An ingester that takes samples of any age; its session ends with the test."""
    options = SourceOptions(url=mqtt_url, client_id=f"test-{uuid4().hex}", batch_ms=50)
    source = Mqtt5Source(options)
    task = asyncio.create_task(run(source, Ingester(database_url, origin="mqtt", limits=NO_LIMITS)))

    async def connected() -> bool:
        return source.connected

    await until(connected)
    yield
    source.stop()
    await asyncio.wait_for(task, 10)
    await check_broker(mqtt_url, options.client_id)  # with a clean start


@pytest.mark.usefixtures("ingesting")
@pytest.mark.parametrize(("file", "sent"), [(RUN, 841), ("nbiot_invented.csv", 13)])
async def test_a_replay_stores_what_an_import_stores(
    connection: Connection, database_url: str, mqtt_url: str,
    monkeypatch: pytest.MonkeyPatch, file: str, sent: int,
) -> None:  # fmt: skip
    """Through the broker and an ingester: the same devices, places, times and values."""
    path = str(DATA / file)
    importer = Importer(path, recognise(path), carrier_id=Carrier.MOBILE, place=VILLAGE)
    await importer.run(database_url, VINTAGE)
    imported = await stored(connection)
    await connection.execute("TRUNCATE radio_sample, device RESTART IDENTITY")
    monkeypatch.setenv("SHUDAO_MAX_AGE_DAYS", "36500")
    arguments = "--speed", "max", "--carrier", "mobile", "--place", VILLAGE, "--progress-json"
    replaying = start(database_url, mqtt_url, "--replay", path, *arguments)
    out, error = await asyncio.to_thread(replaying.communicate, timeout=60)
    assert replaying.returncode == 0, error
    assert json.loads(out.splitlines()[-1])["acknowledged_samples"] == sent

    async def all_stored() -> bool:
        return len(await stored(connection)) == len(imported)

    await until(all_stored)
    assert await stored(connection) == imported
    assert imported


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        ([RUN], 1, "refuse 841 of 841 samples, as older than 90 days"),
        ([RUN], 1, "→ add --shift-to-now"),
        ([YEARS, "--shift-to-now", "--speed", "max"], 1, "→ set SHUDAO_MAX_AGE_DAYS=5"),
        ([RUN, "--carrier", "mobile", "--carrier", "telecom"], 1, "give --carrier once"),
        ([RUN, "--speed", "0"], 2, "write 1, 60, 0.5 or max"),
    ],
)
def test_what_cannot_be_replayed_is_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, hint: str,
) -> None:  # fmt: skip
    """In one line with what to do; neither a broker nor a database is needed to find out."""
    monkeypatch.setenv("SHUDAO_MQTT_URL", "mqtt://127.0.0.1:1")
    get_settings.cache_clear()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(DATA)
    monkeypatch.setattr(sys, "argv", ["shudao", "simulate", "--replay", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    get_settings.cache_clear()
    assert hint in capsys.readouterr().err
