"""The load on a real mosquitto of the test's own: what is counted is what the broker was given."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest
import trustme

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError
from simulators.load import wire
from simulators.load.frames import FIRST_NUMBER
from simulators.load.plan import Plan
from simulators.load.publisher import Publisher, Sample
from simulators.load.schedule import Curve, Shape
from simulators.load.tally import Tally
from simulators.load.wire import Version
from tests.faults.proxy import open_link
from tests.ingest.brokers import Mosquitto, mosquitto

VERSIONS = pytest.mark.parametrize("version", Version)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path, "allow_anonymous true\nsys_interval 1") as running:
        yield running


def make_plan(port: int, **changes: Any) -> Plan:
    """2,000 messages in half a second, over 20 connections."""
    wanted = {
        "url": f"mqtt://127.0.0.1:{port}", "devices": 100, "connections": 20, "duration_s": 0.5,
        "curve": Curve(Shape.STEADY, 4_000, 0.5), "patience_s": 2.0,
    }  # fmt: skip
    return Plan(**(wanted | changes))  # type: ignore[arg-type]


async def publish(plan: Plan) -> Tally:
    publisher = Publisher(plan, lambda _: None)
    await asyncio.to_thread(publisher.run)
    return publisher.tally


@asynccontextmanager
async def listening(port: int, topic: str = "shudao/v1/#") -> AsyncIterator[list[aiomqtt.Message]]:
    """Everything that the broker is given meanwhile, until nothing comes for a while."""
    heard: list[aiomqtt.Message] = []

    async def listen() -> None:
        async for message in client.messages:
            heard.append(message)

    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen())
        yield heard
        before = -1
        while before < len(heard):
            before = len(heard)
            await asyncio.sleep(0.3)
        task.cancel()


def numbers(heard: list[aiomqtt.Message]) -> Counter[int]:
    """How often each number of a sample came."""
    bodies = [json.loads(bytes(m.payload)) for m in heard]
    return Counter(b["cell_id"] - FIRST_NUMBER for b in bodies)


async def broker_counts(port: int) -> dict[str, int]:
    """The broker's own, once they are those of now: it writes them every second."""
    await asyncio.sleep(2.1)
    wanted = {"publish/messages/received", "messages/received"}
    found: dict[str, int] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("$SYS/broker/#")
        async for message in client.messages:
            name = str(message.topic).removeprefix("$SYS/broker/")
            if name in wanted:
                found[name] = int(bytes(message.payload))
            if len(found) == len(wanted):
                return found
    raise AssertionError("the broker closed the connection")


async def test_counts_agree_with_those_of_the_broker(broker: Mosquitto) -> None:
    """$SYS counts as many PUBLISH packets as were published, of each version and QoS."""
    for version in Version:
        tally = await publish(make_plan(broker.port, version=version))
        assert tally.published == tally.acknowledged == 2_000
        assert tally.seconds == pytest.approx(0.5, abs=0.3)
        tally = await publish(make_plan(broker.port, version=version, qos=0))
        assert (tally.published, tally.acknowledged) == (2_000, 0)
    counts = await broker_counts(broker.port)
    assert counts["publish/messages/received"] == 8_000
    # CONNECT, PUBLISH and DISCONNECT; the last reader's CONNECT and SUBSCRIBE may count already.
    assert counts["messages/received"] - (8_000 + 4 * 2 * 20) in range(3)


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1])
async def test_what_is_published_arrives(version: Version, qos: int, broker: Mosquitto) -> None:
    """Each number once, of each carrier; with a window that is filled again and again."""
    plan = make_plan(broker.port, version=version, qos=qos, window=160)
    async with listening(broker.port) as heard:
        tally = await publish(plan)
    assert numbers(heard) == Counter(range(2_000))
    assert {str(m.topic).split("/")[2] for m in heard} == {
        "telecom", "mobile", "unicom", "broadnet",
    }  # fmt: skip
    assert len(tally.to_ack) == 2_000 * qos


async def test_without_a_rate_the_window_sets_the_pace(broker: Mosquitto) -> None:
    """As fast as possible, and still every message counted."""
    plan = make_plan(broker.port, curve=None, duration_s=0.5, devices=2_000, window=400)
    async with listening(broker.port) as heard:
        tally = await publish(plan)
    assert tally.published == tally.acknowledged > 2_000
    assert tally.published <= tally.asked
    assert numbers(heard) == Counter(range(tally.published))


async def test_what_was_not_acknowledged_is_sent_again(broker: Mosquitto) -> None:
    """All connections break with PUBACKs on their way: nothing is lost, some comes twice."""
    link = await open_link("127.0.0.1", broker.port)
    link.delay_s = 0.05
    publishing = asyncio.create_task(publish(make_plan(link.port)))
    async with listening(broker.port) as heard:
        await asyncio.sleep(0.3)
        link.cut()
        tally = await publishing
    await link.aclose()
    assert tally.broken == 20
    assert tally.published == tally.acknowledged == 2_000
    came = numbers(heard)
    assert set(came) == set(range(2_000))
    assert 0 < came.total() - 2_000 <= tally.resent


async def test_a_broker_that_stalls_is_not_spared(broker: Mosquitto) -> None:
    """Two fifths of the messages are due while nothing passes: their latencies say so."""
    link = await open_link("127.0.0.1", broker.port)
    plan = make_plan(link.port, window=160, duration_s=1.0, curve=Curve(Shape.STEADY, 2_000, 1.0))
    publishing = asyncio.create_task(publish(plan))
    await asyncio.sleep(0.6)
    link.to_server.clear()
    await asyncio.sleep(0.5)
    link.to_server.set()
    tally = await publishing
    await link.aclose()
    assert tally.acknowledged == 2_000
    assert (tally.to_ack.percentile(75) or 0) > 150  # only 160 of 2,000 were under way
    assert tally.blocked_s > 0.2


async def test_a_broker_that_refuses_messages_is_noticed(tmp_path: Path) -> None:
    """With MQTT 5 it says so in the PUBACK; mosquitto 2.0 closes the connection, too."""
    (tmp_path / "acl").write_text("topic write shudao/v1/telecom/#\ntopic read shudao/#\n")
    with mosquitto(tmp_path, f"allow_anonymous true\nacl_file {tmp_path}/acl") as broker:
        async with listening(broker.port) as heard:
            tally = await publish(make_plan(broker.port, curve=Curve(Shape.STEADY, 200, 0.5)))
    assert tally.acknowledged == 100
    assert tally.refused == 100 - len(numbers(heard)) > 50


def test_a_brokers_receive_maximum_is_kept(tmp_path: Path) -> None:
    """MQTT 5: the broker says how many may be under way."""
    with mosquitto(tmp_path, "allow_anonymous true\nmax_inflight_messages 3") as broker:
        plan = make_plan(broker.port)
        session = wire.open_session(broker_address(plan.url), "kept", wire.Version.V5)
        connection = plan.make_connections()[0]
        connection.attach(session)
        connection.publish(2, 0, 0.0)
        connection.send()
        assert connection.room == 1
        connection.close()


@pytest.fixture
def tls_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mosquitto]:
    """Only TLS, trusted by this test alone; user ann, bä:rn."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost").private_key_and_cert_chain_pem
    certificate.write_to_path(tmp_path / "server.pem")
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "who", "ann", "bä:rn"], check=True)
    settings = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.pem\n"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with mosquitto(tmp_path, f"{settings}password_file {tmp_path}/who") as running:
        yield running


@VERSIONS
async def test_tls_with_a_login(version: Version, tls_broker: Mosquitto) -> None:
    """Over many records each way; a wrong user is told to correct the URL."""
    url = f"mqtts://ann:b%C3%A4%3Arn@localhost:{tls_broker.port}"
    tally = await publish(make_plan(0, url=url, version=version))
    assert (tally.acknowledged, tally.broken) == (2_000, 0)
    with pytest.raises(ShudaoError, match=r"refuses.*correct SHUDAO_MQTT_URL"):
        await publish(make_plan(0, url=url.replace("ann", "bob"), version=version))


async def test_a_stop_waits_for_what_is_under_way(broker: Mosquitto) -> None:
    """Nothing more is published; what was is acknowledged."""
    publisher = Publisher(make_plan(broker.port), lambda _: None)
    running = asyncio.create_task(asyncio.to_thread(publisher.run))
    await asyncio.sleep(0.25)
    publisher.stop()
    await asyncio.wait_for(running, 2)
    assert 0 < publisher.tally.published == publisher.tally.acknowledged < 2_000


async def test_a_message_is_sampled_every_20_ms(broker: Mosquitto) -> None:
    """With the device and time by which it can be found."""
    noted: list[Sample] = []
    publisher = Publisher(make_plan(broker.port), noted.append)
    async with listening(broker.port) as heard:
        await asyncio.to_thread(publisher.run)
    sent = {
        (int(str(m.topic).rpartition("-")[2]), json.loads(bytes(m.payload))["time"]) for m in heard
    }
    assert {(s.device, s.time_ms) for s in noted} <= sent
    assert len(noted) == pytest.approx(25, abs=7)
    assert np.diff([s.due for s in noted]).min() > 0.01
