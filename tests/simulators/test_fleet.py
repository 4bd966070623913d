import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import aiomqtt
import pytest

from ingest.formats import named
from shudao.errors import ShudaoError
from simulators.broker import check_broker
from simulators.devices import population
from simulators.faults import NO_FAULTS, Faults
from simulators.fleet import Fleet
from simulators.traffic import Traffic
from simulators.world import World

START = 1_600_000_000_000


def make_traffic(world: World, faults: Faults | None = None) -> Traffic:
    who = population(world, devices=20_000)
    return Traffic(world, who, start_ms=START, history_ms=259_200_000, faults=faults)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[list[aiomqtt.Message]]:
    """Everything that is published meanwhile, with nothing else on the broker."""
    parts = urlsplit(url)
    received: list[aiomqtt.Message] = []
    async with aiomqtt.Client(
        parts.hostname or "", parts.port or 1883,
        identifier=f"listener-{uuid4().hex[:8]}", protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:  # fmt: skip
        await client.subscribe("shudao/v1/#", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                received.append(message)

        task = asyncio.create_task(listen())
        yield received
        for _ in range(100):
            before = len(received)
            await asyncio.sleep(0.2)
            if len(received) == before:
                break
        task.cancel()


async def run_for(fleet: Fleet, seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, fleet.stop)
    await fleet.run()


def count_samples(messages: list[aiomqtt.Message]) -> int:
    total = 0
    for message in messages:
        if form := named(content_type(message)):
            total += len(form.translate(bytes(message.payload), "radio").objects)
        else:
            body = json.loads(bytes(message.payload))
            total += len(body) if isinstance(body, list) else 1
    return total


def content_type(message: aiomqtt.Message) -> str:
    return str(getattr(message.properties, "ContentType", ""))


async def test_what_is_counted_is_exactly_what_arrives(world: World, mqtt_url: str) -> None:
    """Five seconds with faults: messages, samples, duplicates and malformed ones all agree."""
    fleet = Fleet(mqtt_url, make_traffic(world, Faults(0.02, 0.03, 0.02, 0.1)), rate=300)
    async with listening(mqtt_url) as received:
        await run_for(fleet, 5)
    report = fleet.tally.report(final=True)
    assert report.unacknowledged == 0
    assert report.resent == 0
    assert report.messages == len(received)
    assert report.acknowledged_samples == report.samples
    malformed = [m for m in received if b'"serial"' in bytes(m.payload)]
    assert report.malformed == len(malformed) > 5
    times = Counter((str(m.topic), bytes(m.payload)) for m in received)
    twice = [key for key, count in times.items() if count == 2]
    assert max(times.values()) == 2
    valid = [m for m in received if m not in malformed]
    assert report.samples + report.duplicates == count_samples(valid)
    first = {(str(m.topic), bytes(m.payload)): m for m in received}
    assert report.duplicates == count_samples([first[key] for key in twice])
    assert (report.prefectures, report.carriers) == (21, 4)
    assert 250 < report.rate < 350


class Proxy:
    """A TCP proxy before the broker that can be cut."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._writers: list[asyncio.StreamWriter] = []
        self.answers = True
        """Whether what the broker says is passed on."""
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and accept none."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def cut_before_an_answer(self) -> None:
        """Cut while messages are under way: they reach the broker, its PUBACKs reach nobody."""
        self.answers = False
        await asyncio.sleep(0.3)
        await self.cut()
        self.answers = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._writers += [writer, out]
        await asyncio.gather(
            self._pump(reader, out, back=False),
            self._pump(there, writer, back=True),
            return_exceptions=True,
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool
    ) -> None:
        while data := await reader.read(65_536):
            if self.answers or not back:
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_firmwares_name_their_formats(world: World, mqtt_url: str) -> None:
    """Fresh samples come with the content type of their format, and the ingester reads them."""
    who = population(world, devices=200)
    traffic = Traffic(world, who, start_ms=START, history_ms=0, faults=NO_FAULTS)
    fleet = Fleet(mqtt_url, traffic, rate=500)
    async with listening(mqtt_url) as received:
        await run_for(fleet, 1)
    seen = {content_type(m) for m in received}
    assert {"", "text/x-nuestats", "text/x-qeng", "application/senml+cbor"} <= seen
    assert fleet.tally.samples == count_samples(received)


async def test_nothing_is_lost_when_connections_break(world: World, mqtt_url: str) -> None:
    """Cut twice while publishing: every sample that is counted arrives, some of them twice."""
    proxy = Proxy(mqtt_url)
    await proxy.start()
    fleet = Fleet(f"mqtt://127.0.0.1:{proxy.port}", make_traffic(world), rate=1_000)
    async with listening(mqtt_url) as received:
        running = asyncio.create_task(run_for(fleet, 6))
        for _ in range(2):
            await asyncio.sleep(1.3)
            await proxy.cut_before_an_answer()
            await asyncio.sleep(0.5)
            await proxy.start()
        await running
    await proxy.cut()
    report = fleet.tally.report()
    assert report.unacknowledged == 0
    assert report.resent > 0
    distinct = {(str(m.topic), bytes(m.payload)): m for m in received}
    valid = [m for m in distinct.values() if b'"serial"' not in bytes(m.payload)]
    assert count_samples(valid) == report.samples == report.acknowledged_samples


async def test_a_broker_that_stays_away_is_reported(world: World, mqtt_url: str) -> None:
    """What was not acknowledged within the patience is an error, and counted."""
    proxy = Proxy(mqtt_url)
    await proxy.start()
    url = f"mqtt://127.0.0.1:{proxy.port}"
    fleet = Fleet(url, make_traffic(world), rate=2_000, patience_s=1)
    running = asyncio.create_task(run_for(fleet, 2))
    await asyncio.sleep(1)
    await proxy.cut_before_an_answer()
    with pytest.raises(ShudaoError, match="not acknowledged"):
        await running
    assert fleet.tally.unacknowledged > 0


async def test_an_unreachable_broker_is_one_clear_line() -> None:
    """Nobody listens on port 1."""
    with pytest.raises(ShudaoError, match=r"127\.0\.0\.1:1 cannot be reached.*shudao local up"):
        await check_broker("mqtt://127.0.0.1:1", "test")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1883", "127.0.0.1:1883", "mqtt://"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Another scheme, none, or no host."""
    with pytest.raises(ShudaoError, match="SHUDAO_MQTT_URL"):
        await check_broker(url, "test")


async def test_work_beside_that_fails_ends_the_fleet(world: World, mqtt_url: str) -> None:
    """Otherwise devices would wait for ever for their registration."""

    async def fails() -> None:
        await asyncio.sleep(0.2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Fleet(mqtt_url, make_traffic(world), rate=10).run(fails())
