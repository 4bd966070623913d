"""What every MQTT source promises (see ingest.sources), each against a real mosquitto."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import uvloop
from structlog.testing import capture_logs

from ingest.sources import Source, SourceOptions, backoff
from shudao.errors import ShudaoError
from tests.ingest.brokers import mosquitto
from tests.ingest.reading import (
    SOURCES,
    Reader,
    client,
    has_session,
    payloads,
    publish,
    reading,
    until,
)

Make = Callable[..., Source]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The event loop of production; tests/ingest/test_pipeline.py runs on asyncio's own."""
    return uvloop.EventLoopPolicy()


@pytest.fixture(params=SOURCES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def name() -> str:
    """Of the test's own session and topic."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def make(kind: str, mqtt_url: str, name: str) -> AsyncIterator[Make]:
    """Makes sources; the session is gone after the test."""

    def made(**options: Any) -> Source:
        given = {"url": mqtt_url, "client_id": name, "topic": f"{name}/#", "batch_ms": 50}
        return SOURCES[kind](SourceOptions(**{**given, **options}))

    yield made
    async with client(mqtt_url, identifier=name, clean_start=True):
        pass


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, last)]


async def test_publications_of_every_qos_arrive_once(make: Make, mqtt_url: str, name: str) -> None:
    """QoS 0, 1 and 2, in order, stamped with the time of their arrival."""
    async with reading(make()) as reader:
        for qos in (0, 1, 2):
            await publish(mqtt_url, f"{name}/{qos}", [b"x"], qos=qos)
        messages = await reader.receive(3)
        assert [m.topic for m in messages] == [f"{name}/{qos}" for qos in (0, 1, 2)]
        assert messages[0].received_ms <= messages[2].received_ms
        assert await reader.rest() == []


async def test_only_what_was_acknowledged_is_not_delivered_again(
    make: Make, mqtt_url: str, name: str
) -> None:
    """Two batches, the first acknowledged: the second comes again after a reconnect."""
    async with reading(make(batch_messages=5, batch_ms=1_000)) as reader:
        await publish(mqtt_url, f"{name}/a", numbers(0, 10))
        first = await reader.batch()
        second = await reader.batch()
        assert (len(first.messages), len(second.messages)) == (5, 5)
        assert reader.source.in_flight == 10
        await first.acknowledge()
        assert reader.source.in_flight == 5
    async with reading(make()) as again:
        assert payloads(await again.receive(5)) == payloads(second.messages)
        assert await again.rest() == []
    async with reading(make()) as at_last:
        assert await at_last.rest() == []


async def test_leaving_waits_until_the_broker_has_read_the_acknowledgements(
    make: Make, mqtt_url: str, name: str
) -> None:
    """Thousands of them, and who connects at once gets nothing a second time."""
    async with reading(make()):
        pass
    await publish(mqtt_url, f"{name}/a", numbers(0, 4_000))
    async with reading(make(batch_messages=4_000, batch_ms=60_000)) as reader:
        await reader.receive(4_000)
    async with reading(make()) as again:
        assert await again.rest() == []


async def test_acknowledging_twice_acknowledges_once(make: Make, mqtt_url: str, name: str) -> None:
    """The same packet id belongs to another message by then, which must not be lost."""
    async with reading(make(receive_maximum=1)) as reader:
        await publish(mqtt_url, f"{name}/a", numbers(0, 2))
        first = await reader.batch()
        await first.acknowledge()
        second = await reader.batch()
        await first.acknowledge()
        assert reader.source.in_flight == 1
    async with reading(make()) as again:
        assert payloads(await again.receive(1)) == payloads(second.messages)


async def test_the_content_type_comes_with_the_message(
    make: Make, kind: str, mqtt_url: str, name: str
) -> None:
    """MQTT 5's, lower case without parameters; MQTT 3.1.1 has none."""
    async with reading(make()) as reader:
        await publish(mqtt_url, f"{name}/a", [b"x"], content_type="Application/JSON; charset=utf-8")
        await publish(mqtt_url, f"{name}/a", [b"x"])
        kinds = [m.content_type for m in await reader.receive(2)]
    assert kinds == (["", ""] if kind.endswith("3.1.1") else ["application/json", ""])


async def test_what_arrives_while_away_is_kept(make: Make, mqtt_url: str, name: str) -> None:
    """The session stays at the broker, and a new reader gets everything, in order."""
    async with reading(make()):
        pass
    await publish(mqtt_url, f"{name}/a", numbers(0, 2_000))
    async with reading(make()) as reader:
        assert payloads(await reader.receive(2_000)) == numbers(0, 2_000)


async def test_batches_close_at_their_number_their_time_and_their_bytes(
    make: Make, mqtt_url: str, name: str
) -> None:
    """Ten small messages make batches of four; three large ones more than 2 MiB."""
    async with reading(make(batch_messages=4, batch_ms=300)) as reader:
        await publish(mqtt_url, f"{name}/a", numbers(0, 10))
        assert [len((await reader.batch()).messages) for _ in range(3)] == [4, 4, 2]
    async with reading(make(batch_messages=10, batch_ms=60_000)) as reader:
        await reader.receive(10)
        await publish(mqtt_url, f"{name}/a", [b"x" * 3 * 2**18] * 5)
        assert len((await reader.batch()).messages) == 3


async def test_a_session_taken_over_is_named_and_taken_back(
    make: Make, mqtt_url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second client gets what was not acknowledged; the first says so, waits, and goes on."""
    monkeypatch.setattr(backoff, "LONGEST_S", 1.0)
    with capture_logs() as logs:
        async with reading(make()) as first:
            await publish(mqtt_url, f"{name}/a", numbers(0, 5))
            await first.receive(5, acknowledge=False)
            async with reading(make()) as second:
                assert payloads(await second.receive(5)) == numbers(0, 5)
                await until(lambda: not first.source.connected)
            await until(lambda: first.source.connected)
            assert first.source.reconnects == 1
            await publish(mqtt_url, f"{name}/a", [b"later"])
            assert payloads(await first.receive(1)) == [b"later"]
    assert any("another client connect" in str(log) for log in logs)


async def test_a_killed_broker_is_waited_for(make: Make, name: str, tmp_path: Path) -> None:
    """Eight messages in flight survive kill -9 of a broker with persistence, and none is lost."""
    settings = "allow_anonymous true\npersistence true\nautosave_interval 1"
    with mosquitto(tmp_path, settings) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        async with reading(make(url=url)) as reader:
            await publish(url, f"{name}/a", numbers(0, 8))
            await reader.receive(8, acknowledge=False)
            await asyncio.sleep(2.5)  # it saves once a second
            broker.stop(signal.SIGKILL)
            await until(lambda: not reader.source.connected)
            broker.start()
            await until(lambda: reader.source.connected)
            await reader.unacknowledged[0].acknowledge()  # of the old connection: void
            assert sorted(payloads(await reader.receive(8))) == numbers(0, 8)
            assert reader.source.reconnects == 1
            await publish(url, f"{name}/a", [b"later"])
            assert b"later" in payloads(await reader.receive(1))


async def test_a_slow_reader_is_waited_for(make: Make, mqtt_url: str, name: str) -> None:
    """No more than the receive maximum wait here, the connection stays, and all arrive once."""
    source = make(receive_maximum=10, keep_alive_s=2)
    async with reading(source) as reader:
        await publish(mqtt_url, f"{name}/a", numbers(0, 200))
        first = await reader.receive(1, acknowledge=False)
        for _ in range(10):
            await asyncio.sleep(0.4)  # longer than one and a half keep-alives in all
            assert source.in_flight <= 10
        for batch in reader.unacknowledged:
            await batch.acknowledge()
        received = payloads([*first, *await reader.receive(200 - len(first))])
        assert received == numbers(0, 200)
        assert (source.reconnects, source.dropped) == (0, 0)


async def test_messages_of_qos_0_cannot_fill_the_memory(
    make: Make, kind: str, mqtt_url: str, name: str
) -> None:
    """What is too much is dropped and counted (MQTT 3.1.1: left to the broker); QoS 1 is not."""
    source = make(receive_maximum=10)
    async with reading(source) as reader:
        await publish(mqtt_url, f"{name}/a", [b"first"])
        batch = await reader.batch()  # nothing is acknowledged from now on
        await publish(mqtt_url, f"{name}/a", numbers(0, 200), qos=0)
        await publish(mqtt_url, f"{name}/a", [b"last"])
        await asyncio.sleep(0.5)
        assert source.in_flight <= 11  # all of QoS 1 that the broker may send, and ten
        await batch.acknowledge()
        received = list[bytes]()
        while len(received) + source.dropped < 201:
            received += payloads(await reader.receive(1))
    received.remove(b"last")  # of another connection: it may overtake those of QoS 0
    assert received[:9] == numbers(0, 9)
    assert len(received) + source.dropped == 200
    assert source.dropped == 0 if kind.endswith("3.1.1") else source.dropped > 100


async def test_a_cancelled_reader_loses_nothing(make: Make, mqtt_url: str, name: str) -> None:
    """Readers that are cancelled wherever they are; the last one gets what they did not."""
    source, received = make(batch_ms=5, batch_messages=50), list[bytes]()
    async with reading(source):
        pass
    await publish(mqtt_url, f"{name}/a", numbers(0, 1_000))
    for pause_ms in range(0, 60, 3):
        batches = source.batches()
        try:
            async with asyncio.timeout(pause_ms / 1000):
                async for batch in batches:
                    received += payloads(batch.messages)
                    await batch.acknowledge()
        except TimeoutError:
            await batches.aclose()
    async with reading(source) as reader:
        received += payloads(await reader.rest())
    assert set(received) == set(numbers(0, 1_000))


async def test_a_message_too_large_for_the_broker_stops_nobody_else(
    make: Make, mqtt_url: str, name: str
) -> None:
    """One of 10 MiB arrives whole; one of 17 MiB is refused where it is sent, not here."""
    async with reading(make()) as reader:
        large = bytes(range(256)) * (10 * 2**12)
        await publish(mqtt_url, f"{name}/a", [large, b"small"])
        assert payloads(await reader.receive(2)) == [large, b"small"]
        with pytest.raises(aiomqtt.MqttError):
            async with client(mqtt_url, timeout=2) as sender:
                await sender.publish(f"{name}/a", b"x" * (17 * 2**20), qos=1)
        await publish(mqtt_url, f"{name}/a", [b"next"])
        assert payloads(await reader.receive(1)) == [b"next"]
        assert reader.source.reconnects == 0


async def test_stopping_leaves_time_to_acknowledge(make: Make, mqtt_url: str, name: str) -> None:
    """What was handed out before `stop` is acknowledged after it; the rest comes again."""
    async with reading(make(batch_messages=5, batch_ms=200, receive_maximum=20)) as reader:
        await publish(mqtt_url, f"{name}/a", numbers(0, 20))
        handed_out = [await reader.batch(), await reader.batch()]
        reader.source.stop()
        end = asyncio.ensure_future(reader.rest(5))
        for batch in handed_out:
            await asyncio.sleep(0.2)
            assert not end.done()
            await batch.acknowledge()
        assert await end == []
        assert not reader.source.connected
    taken = sum(len(b.messages) for b in handed_out)
    async with reading(make()) as again:
        assert payloads(await again.rest()) == numbers(0, 20)[taken:]


async def test_an_early_stop_ends_at_once(make: Make) -> None:
    """Also where no message ever came, and where the connection was never made."""
    async with reading(make()) as reader:
        reader.source.stop()
        with pytest.raises(StopAsyncIteration):
            await reader.batch(2)
    unused = make()
    unused.stop()
    assert [batch async for batch in unused.batches()] == []


async def test_sources_of_a_group_share_the_messages(make: Make, mqtt_url: str, name: str) -> None:
    """Each message goes to one of the two."""
    group = {"group": f"g-{name}"}
    one, other = make(**group), make(client_id=f"{name}-2", **group)
    async with reading(one) as first, reading(other) as second:
        await publish(mqtt_url, f"{name}/a", numbers(0, 100))
        shares = await asyncio.gather(first.rest(), second.rest())
    assert Counter(payloads([*shares[0], *shares[1]])) == Counter(numbers(0, 100))
    assert all(shares)
    assert await has_session(mqtt_url, f"{name}-2")


async def test_retiring_empties_and_ends_a_session(make: Make, mqtt_url: str, name: str) -> None:
    """What the session holds is delivered, what is published meanwhile is not, and it is gone."""
    async with reading(make()):
        pass
    await publish(mqtt_url, f"{name}/a", numbers(0, 30))
    async with reading(make(retire=True, receive_maximum=10)) as reader:
        received = payloads(await reader.receive(1))
        await publish(mqtt_url, f"{name}/a", [b"later"])
        received += payloads(await reader.rest(3))
        with pytest.raises(StopAsyncIteration):
            await reader.batch()
    assert received == numbers(0, 30)
    assert not await has_session(mqtt_url, name)


async def test_retiring_waits_for_its_acknowledgements(
    make: Make, mqtt_url: str, name: str
) -> None:
    """A session is not ended while a batch of it is still being written."""
    async with reading(make()):
        pass
    await publish(mqtt_url, f"{name}/a", numbers(0, 3))
    async with reading(make(retire=True)) as reader:
        await reader.receive(3, acknowledge=False)
        await asyncio.sleep(1.5)
    assert await has_session(mqtt_url, name)


async def test_retiring_no_session_ends_at_once_and_leaves_none(
    make: Make, mqtt_url: str, name: str
) -> None:
    """Nothing to retire."""
    async with asyncio.timeout(0.9):
        assert [batch async for batch in make(retire=True).batches()] == []
    assert not await has_session(mqtt_url, name)


async def test_another_qos_than_1_is_refused(make: Make, name: str, tmp_path: Path) -> None:
    """A broker that grants only QoS 0 would lose messages: the first connection says so."""
    with mosquitto(tmp_path, "allow_anonymous true\nmax_qos 0") as broker:
        source = make(url=f"mqtt://127.0.0.1:{broker.port}")
        with pytest.raises(ShudaoError, match=rf"subscribe to {name}/# with QoS 1.*access list"):
            await Reader(source).batch()
        assert not source.connected


async def test_an_unreachable_broker_is_one_clear_line(make: Make) -> None:
    """At the start, that is; later it is waited for."""
    for url in ("mqtt://127.0.0.1:1", "mqtt://nowhere.invalid"):
        with pytest.raises(ShudaoError, match=r"cannot be reached.*SHUDAO_MQTT_URL"):
            await Reader(make(url=url)).batch()
