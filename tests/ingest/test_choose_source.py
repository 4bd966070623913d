"""Which source is chosen, on brokers that speak MQTT 5 and on one that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiomqtt import ProtocolVersion
from amqtt.broker import Broker
from structlog.testing import capture_logs

from ingest.sources import Source, SourceOptions
from ingest.sources.aiomqtt import AiomqttSource
from ingest.sources.choose import SourceKind, choose_source
from ingest.sources.mqtt5 import Mqtt5Source
from shudao.errors import ShudaoError
from shudao.local.process import free_ports
from tests.ingest.brokers import CLOSE, scripted
from tests.ingest.reading import client, payloads, reading


def options(url: str, **more: Any) -> SourceOptions:
    return SourceOptions(url=url, client_id="choose", topic="t/#", batch_ms=50, **more)


def chosen(source: Source) -> tuple[str, object]:
    """Its name and, of aiomqtt, the protocol's version."""
    return type(source).__name__, getattr(source, "_version", None)


@pytest.fixture
async def old_url(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """amqtt, a real broker that speaks only MQTT 3.1.1, and leaves a CONNECT of 5 unanswered."""
    monkeypatch.setattr("ingest.sources.mqtt5_connection.ANSWER_S", 1.0)
    port = next(free_ports(None, "amqtt"))
    login = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
    broker = Broker({"listeners": listeners, "plugins": login})
    await broker.start()
    yield f"mqtt://127.0.0.1:{port}"
    await broker.shutdown()


async def source_for(kind: SourceKind, asked: SourceOptions) -> Source:
    """The source that is chosen for these options."""
    return (await choose_source(kind, asked))(asked)


async def test_auto_takes_the_fast_source_where_the_broker_speaks_mqtt_5(mqtt_url: str) -> None:
    """And says so in the log; aiomqtt, asked for, speaks MQTT 5 there."""
    with capture_logs() as logs:
        assert chosen(await source_for("auto", options(mqtt_url))) == ("Mqtt5Source", None)
    assert [log["source"] for log in logs] == ["mqtt5"]
    by_wish = await source_for("aiomqtt", options(mqtt_url))
    assert chosen(by_wish) == ("AiomqttSource", ProtocolVersion.V5)


async def test_auto_takes_aiomqtt_on_an_older_broker_and_it_works(old_url: str) -> None:
    """A message through a real broker of MQTT 3.1.1."""
    source = await source_for("auto", options(old_url))
    assert chosen(source) == ("AiomqttSource", ProtocolVersion.V311)
    async with reading(source) as reader:
        async with client(old_url, protocol=ProtocolVersion.V311) as sender:
            await sender.publish("t/a", b"x", qos=1)
        assert payloads(await reader.receive(1)) == [b"x"]


async def test_the_fast_source_on_an_older_broker_says_which_to_use(old_url: str) -> None:
    """`--source mqtt5` where it cannot work."""
    source = await source_for("mqtt5", options(old_url))
    assert isinstance(source, Mqtt5Source)
    with pytest.raises(ShudaoError, match="--source aiomqtt"):
        await anext(source.batches())


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", CLOSE])
async def test_an_older_broker_is_known_by_its_answer(answer: bytes) -> None:
    """Return code 1 in MQTT 3.1.1's form, reason 132 in MQTT 5's, or no answer."""
    async with scripted([answer]) as broker:
        source = await source_for("auto", options(broker.url))
        assert chosen(source) == ("AiomqttSource", ProtocolVersion.V311)


@pytest.mark.parametrize("code", [0x86, 0x87, 0x89])
async def test_a_refusal_in_mqtt_5_is_mqtt_5(code: int) -> None:
    """A wrong password is the source's to report, not a reason to try another protocol."""
    async with scripted([bytes([0x20, 3, 0, code, 0])]) as broker:
        assert isinstance(await source_for("auto", options(broker.url)), Mqtt5Source)


@pytest.mark.parametrize("kind", ["auto", "aiomqtt"])
async def test_a_broker_that_cannot_be_asked_is_one_clear_line(kind: SourceKind) -> None:
    """Nothing can be chosen then."""
    with pytest.raises(ShudaoError, match=r"cannot be reached.*SHUDAO_MQTT_URL"):
        await source_for(kind, options("mqtt://127.0.0.1:1"))


async def test_asking_leaves_no_session(mqtt_url: str) -> None:
    """The throw-away client ends its session, and takes over nobody's."""
    async with reading(AiomqttSource(options(mqtt_url))) as reader:
        for _ in range(3):
            await source_for("auto", options(mqtt_url))
        assert reader.source.connected
        assert reader.source.reconnects == 0
