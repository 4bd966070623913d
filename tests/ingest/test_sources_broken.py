"""Sources against a broker that breaks the protocol, says no, or nothing: it plays a script."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.sources import Source, SourceOptions, backoff, connection
from shudao.errors import ShudaoError
from tests.ingest.brokers import CLOSE, Scripted, scripted
from tests.ingest.reading import SOURCES, Reader, payloads, reading, until

CONNACK, SUBACK, PINGRESP = b"\x20\x03\x00\x00\x00", b"\x90\x04\x00\x01\x00\x01", b"\xd0\x00"
OLD_CONNACK, OLD_SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"
MESSAGE = b"\x32\x07\x00\x01t\x00\x07\x00x"
"""PUBLISH, topic t, packet id 7, no properties, payload x."""
PUBACK = b"\x40\x02\x00\x07"


def make(broker: Scripted, kind: str = "mqtt5", **options: Any) -> Source:
    return SOURCES[kind](SourceOptions(url=broker.url, client_id="c", batch_ms=20, **options))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "SHORTEST_S", 0.02)
    monkeypatch.setattr("ingest.sources.mqtt5_connection.ANSWER_S", 0.5)
    monkeypatch.setattr("ingest.sources.mqtt5_connection.SETTLE_S", 0.1)
    monkeypatch.setattr("ingest.sources.aiomqtt.SETTLE_S", 0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # mqtt5's panic
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_topic_that_is_not_utf_8_is_handed_on_and_acknowledged(kind: str) -> None:
    """It can be quarantined then, and is not delivered for ever; what follows it arrives too."""
    if kind.endswith("3.1.1"):
        bad = b"\x32\x08\x00\x03a\xff\xfe\x00\x07x"
        script = [OLD_CONNACK, OLD_SUBACK + bad + b"\x30\x04\x00\x01ty"]
    else:
        bad = b"\x32\x09\x00\x03a\xff\xfe\x00\x07\x00x"
        script = [CONNACK, SUBACK + bad + b"\x30\x05\x00\x01t\x00y"]
    async with scripted(script) as broker, reading(make(broker, kind)) as reader:
        messages = await reader.receive(2)
        assert [(m.topic, m.payload) for m in messages] == [("a\\xff\\xfe", b"x"), ("t", b"y")]
        await until(lambda: PUBACK in broker.received[0])
        assert reader.source.reconnects == 0


async def test_what_cannot_be_read_ends_the_connection_and_not_the_stream() -> None:
    """Garbage, a QoS that does not exist, an answer that nobody asked for: said, left, taken up."""
    good = [CONNACK, SUBACK + MESSAGE]
    for garbage in (
        b"\x32\xff\xff\xff\xff\x7f",
        b"\x00\x00",
        b"\x36\x06\x00\x01t\x00\x07\x00",
        SUBACK,
    ):
        bad = [CONNACK, SUBACK + MESSAGE + garbage]
        async with scripted(bad, good) as broker, reading(make(broker)) as reader:
            assert payloads(await reader.receive(2)) == [b"x", b"x"]  # also what came before it
            assert reader.source.reconnects == 1
            [reason] = [p[2] for p in broker.received[0] if p[0] == 0xE0]
            assert reason == (0x82 if garbage == SUBACK else 0x81)


async def test_a_packet_that_comes_in_pieces_is_read_when_it_is_whole() -> None:
    """And one that never becomes whole comes again on the next connection."""
    pieces = [CONNACK, SUBACK + MESSAGE[:5], MESSAGE[5:] + MESSAGE[:5], CLOSE]
    async with (
        scripted(pieces, [CONNACK, SUBACK + MESSAGE]) as broker,
        reading(make(broker, keep_alive_s=1)) as reader,
    ):
        assert payloads(await reader.receive(1)) == [b"x"]
        assert reader.source.reconnects == 0
        assert payloads(await reader.receive(1)) == [b"x"]
        assert reader.source.reconnects == 1


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_reader_cancelled_while_it_connects_leaves_no_connection_behind(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the session over from its successor. paho connects in a thread, slow here."""
    connect = socket.create_connection

    def slowly(*address: Any, **more: Any) -> socket.socket:
        time.sleep(0.2)
        return connect(*address, **more)

    monkeypatch.setattr(socket, "create_connection", slowly)
    connack = OLD_CONNACK if kind.endswith("3.1.1") else CONNACK
    async with scripted([connack]) as broker:
        reader = Reader(make(broker, kind))
        await asyncio.sleep(0.1)
        await reader.close()
        await asyncio.sleep(0.4)
        assert broker.open == 0


async def test_a_packet_larger_than_we_announced_is_refused() -> None:
    """Before its bytes fill the memory: the connection is left with the reason, and taken up."""
    huge = b"\x32\x80\x80\x80\x10" + b"\x00\x01t"
    bad, good = [CONNACK, SUBACK + huge], [CONNACK, SUBACK + MESSAGE]
    async with scripted(bad, good) as broker, reading(make(broker)) as reader:
        await reader.receive(1)
        assert [p[2] for p in broker.received[0] if p[0] == 0xE0] == [0x95]
        announced = broker.received[0][0].index(b"\x27") + 1
        assert int.from_bytes(broker.received[0][0][announced:][:4], "big") == 2**24 + 2**17


@pytest.mark.parametrize("kind", ["mqtt5", "aiomqtt-5"])
async def test_a_session_taken_over_is_plainly_logged_and_left_alone_for_a_while(
    kind: str,
) -> None:
    """Reason 142 means another client with our id: no tight loop of throwing each other out."""
    taken_over = [CONNACK, SUBACK + b"\xe0\x02\x8e\x00"]
    with capture_logs() as logs:
        async with scripted(taken_over) as broker:
            reader = Reader(make(broker, kind))
            await asyncio.sleep(1)
            await reader.close()
            assert len(broker.received) == 1  # else every 20 ms
    [said] = [log for log in logs if log["log_level"] == "error"]
    assert "--client-id" in said["todo"]
    assert said["pause_s"] >= 5


async def test_the_reason_of_a_broker_that_disconnects_is_logged() -> None:
    """Server shutting down, with its words."""
    words = b"maintenance"
    properties = b"\x1f" + len(words).to_bytes(2, "big") + words
    packet = bytes([0xE0, 2 + len(properties), 0x8B, len(properties)]) + properties
    with capture_logs() as logs:
        async with (
            scripted([CONNACK, SUBACK + packet], [CONNACK, SUBACK]) as broker,
            reading(make(broker)) as reader,
        ):
            await until(lambda: reader.source.reconnects)
    assert "server shutting down: maintenance" in str(logs)


@pytest.mark.parametrize("kind", ["mqtt5", "aiomqtt-5"])
async def test_a_silent_broker_is_taken_for_gone(kind: str) -> None:
    """Connected, subscribed, and nothing more: no answer to a PINGREQ either."""
    async with (
        scripted([CONNACK, SUBACK]) as broker,
        reading(make(broker, kind, keep_alive_s=1)) as reader,
    ):
        await until(lambda: reader.source.reconnects, 8)
        assert b"\xc0\x00" in broker.received[0]


async def test_a_broker_that_only_answers_pings_is_kept() -> None:
    """Silence and nothing to say are two things."""
    async with (
        scripted([CONNACK, SUBACK, *[PINGRESP] * 20]) as broker,
        reading(make(broker, keep_alive_s=1)) as reader,
    ):
        await asyncio.sleep(2.5)
        assert reader.source.reconnects == 0
        assert broker.received[0].count(b"\xc0\x00") >= 3


async def test_a_busy_broker_is_waited_for_also_at_first() -> None:
    """Server busy, then it lets us in."""
    busy = [b"\x20\x03\x00\x89\x00"]
    async with scripted(busy, [CONNACK, SUBACK]) as broker, reading(make(broker)) as reader:
        assert reader.source.connected
        assert len(broker.received) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"\x20\x03\x00\x86\x00", r"not let .* in as 'c' \(bad user.*user:password@host"),
        (b"\x20\x03\x00\x87\x00", r"not let .* in as 'c' \(not auth.*user:password@host"),
        (b"\x20\x03\x00\x8a\x00", r"refuses the client 'c' \(banned\).*broker's log"),
        (b"\x20\x02\x00\x01", r"does not speak MQTT 5.*--source aiomqtt"),
        (b"\x20\x03\x00\x84\x00", r"does not speak MQTT 5.*--source aiomqtt"),
        (CLOSE, r"cannot be reached.*--source aiomqtt"),
        (b"HTTP/1.1 400 Bad Request\r\n", r"cannot be reached.*does not answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"cannot be reached"),
        (b"\x00\x00", r"cannot be reached.*cannot be read"),
        (SUBACK, r"cannot be reached.*unexpected"),
    ],
)
async def test_a_refusal_at_first_says_what_to_do(answer: bytes, says: str) -> None:
    """In place of a CONNACK of success."""
    async with scripted([answer]) as broker:
        with pytest.raises(ShudaoError, match=says):
            await Reader(make(broker)).batch()
        assert len(broker.received) == 1


async def test_a_refusal_later_is_waited_for() -> None:
    """A broker that restarts without its password file, say: the ingester does not end."""
    first, refused = [CONNACK, SUBACK + b"\xe0\x00"], [b"\x20\x03\x00\x87\x00"]
    async with (
        scripted(first, refused, [CONNACK, SUBACK]) as broker,
        reading(make(broker)) as reader,
    ):
        await until(lambda: reader.source.reconnects)
        assert len(broker.received) == 3


async def test_what_is_sent_again_on_the_same_connection_is_not_acknowledged_twice() -> None:
    """Some MQTT 3.1.1 brokers do; by the second PUBACK the id may be another message's."""
    first, again = b"\x32\x06\x00\x01t\x00\x07x", b"\x3a\x06\x00\x01t\x00\x07x"
    script = [OLD_CONNACK, OLD_SUBACK + first + again]
    async with scripted(script) as broker, reading(make(broker, "aiomqtt-3.1.1")) as reader:
        assert len(await reader.receive(1)) == 1
        await until(lambda: PUBACK in broker.received[0])
        assert await reader.rest(0.3) == []
        assert broker.received[0].count(PUBACK) == 1


async def test_a_message_of_qos_2_is_acknowledged_after_its_commit() -> None:
    """Of a subscription that an earlier program left: PUBREC when acknowledged, never before."""
    message = b"\x34\x07\x00\x01t\x00\x07\x00x"
    script = [CONNACK, SUBACK + message, b"\x62\x02\x00\x07"]
    async with scripted(script) as broker, reading(make(broker)) as reader:
        [received] = await reader.receive(1, acknowledge=False)
        assert received.payload == b"x"
        await asyncio.sleep(0.1)
        assert len(broker.received[0]) == 2
        await reader.unacknowledged[0].acknowledge()
        await until(lambda: len(broker.received[0]) == 4)
        assert broker.received[0][2:] == [b"\x50\x02\x00\x07", b"\x70\x02\x00\x07"]


@pytest.mark.parametrize("kind", ["mqtt5", "aiomqtt-3.1.1"])
async def test_a_subscription_is_answered_also_where_the_session_holds_more_than_fits(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes after what the session held; reading stops before it, and goes on."""
    monkeypatch.setattr(connection, "WAITING_BYTES", 10)
    connack, end, suback = CONNACK, b"\x00x", SUBACK
    if kind.endswith("3.1.1"):
        connack, end, suback = OLD_CONNACK, b"x", OLD_SUBACK
    head = bytes([0x32, 5 + len(end)]) + b"\x00\x01t\x00"
    kept = b"".join(head + bytes([i]) + end for i in range(1, 101))
    async with (
        scripted([connack, kept + suback]) as broker,
        reading(make(broker, kind, receive_maximum=10)) as reader,
    ):
        assert len(await reader.receive(100)) == 100
        assert reader.source.reconnects == 0
