"""A run: the ingester in some way, traffic, whatever happens to it, and then the judgement."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from tests.faults.faults_broker import left_at_broker
from tests.faults.oracle import complaints
from tests.faults.scale import is_long
from tests.faults.world import World, until

Way = tuple[str, int]
"""How the ingester is run: source and number of workers."""
MESSAGES_PER_S = 400 if is_long() else 250
CALLBACK = re.compile(r"Exception in callback .*add_writer.*\n.*\nTraceback")
"""uvloop's complaint when aiomqtt wants to write to a socket that has just been closed."""


class UnheardError(AssertionError):
    """Messages were published when nobody was subscribed: the broker has dropped them."""


async def judged(
    world: World, way: Way, number: int, happens: Callable[[], Awaitable[None]]
) -> None:
    """Let something happen under traffic; fails with all that is wrong afterwards."""
    try:
        await world.run_ingester(*way)
        await session_exists(world)
        await under_traffic(world, happens())
    except AssertionError as error:
        raise type(error)(story(world, number, [str(error)])) from error
    await judgement(world, number)


async def judgement(world: World, number: int) -> None:
    """Let it drain; fails with all that is wrong then, and with the story of the run."""
    try:
        await _drained(world)
        wrong = await _judge(world)
    except AssertionError as error:
        raise type(error)(story(world, number, [str(error)])) from error
    assert not wrong, story(world, number, wrong)
    print(story(world, number, []))


async def session_exists(world: World) -> None:
    """Publish poison until the broker takes it for somebody: only then it keeps what comes."""
    publisher = world.publisher

    async def is_heard() -> bool:
        for envelope in world.traffic.each_poison()[:1]:
            await publisher.publish(envelope)
        await publisher.settled(5)
        return bool(publisher.book.accepted_refusals)

    await until(is_heard, "the ingester does not subscribe", 30)
    publisher.unheard = 0


async def under_traffic(world: World, what: Awaitable[None]) -> None:
    """Do something while messages are published; ends when it is done and all is accepted."""
    traffic = asyncio.create_task(_publish(world))
    try:
        await what
        assert not traffic.done(), f"the publisher stopped: {traffic.exception()}"
    finally:
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
    for envelope in world.traffic.each_poison():
        await world.publisher.publish(envelope)
    await world.publisher.settled(30)
    assert not world.publisher.refused, f"the broker refuses: {world.publisher.refused[:3]}"
    if lost := world.publisher.unheard:
        raise UnheardError(f"nobody was subscribed when {lost} messages were published")


async def _publish(world: World) -> None:
    while True:
        began = time.monotonic()
        window = world.traffic.window()
        for envelope in window:
            await world.publisher.publish(envelope)
        await asyncio.sleep(max(0.001, len(window) / MESSAGES_PER_S + began - time.monotonic()))


async def _drained(world: World) -> None:
    """Everything accepted is in, nothing waits in the journal, and the ledger rests.

    Returns also when nothing moves any more: then the oracle has something to say.
    """
    book = world.publisher.book
    wanted = len(book.accepted_numbers) + len(book.accepted_refusals)
    committed, since = -1, time.monotonic()
    while True:
        have = await world.ask(
            "SELECT (SELECT count(*) FROM radio_sample) + (SELECT count(*) FROM broadband_sample)"
            " + (SELECT count(*) FROM reading) + (SELECT count(*) FROM quarantine)"
        )
        waiting = await world.ask("SELECT count(*) FROM rollup_journal")
        now = await world.committed()
        if now != committed:
            committed, since = now, time.monotonic()
        quiet_s = time.monotonic() - since
        if (have >= wanted and not waiting and quiet_s > 1) or quiet_s > 30:
            return
        await asyncio.sleep(0.1)


async def _judge(world: World) -> list[str]:
    """End the ingester; what the oracle, the broker and the log then say."""
    code = await world.ingester.stop()
    wrong = [] if code == 0 else [f"SIGTERM ended the ingester with {code}"]
    for client_id in world.client_ids:
        left = await left_at_broker(world.services.addresses.mqtt_url, client_id)
        if left:
            wrong.append(f"{left} messages lie at the broker for {client_id}, never acknowledged")
    log, callbacks = CALLBACK.subn("", world.ingester.log.read_text(errors="replace"))
    world.effects["callbacks of the event loop that failed"] += callbacks
    if "Traceback" in log:
        wrong.append("the ingester's log holds a traceback")
    return wrong + await complaints(await world.session(), world.publisher.book, world.base_ms)


def story(world: World, seed: int, wrong: list[str]) -> str:
    """What happened, for whoever has to find the cause."""
    book = world.publisher.book
    lines = [
        *(f"- {w}" for w in wrong),
        f"SHUDAO_CHAOS_SEED={seed}",
        f"accepted: {len(book.accepted_numbers)} samples, {len(book.accepted_refusals)} poisons",
        *(f"{effect}: {n}" for effect, n in sorted(world.effects.items())),
        f"the ingester ended with: {dict(world.ingester.ends)}",
    ]
    if wrong:
        lines += ["its last words:", world.ingester.tail()]
    return "\n".join(lines)
