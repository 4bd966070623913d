"""Chaos: whatever fails, every accepted message counts, once.

Numbered messages, some twice, out of order, with poison among them, flow through a real broker
into a real database, while the ingester, the services and the cables fail one after the other in
an order that the seed gives. Then everything runs again, the queue drains, and the oracle counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults.faults_broker import left_at_broker, restart_broker, take_over_client_id
from tests.faults.faults_database import (
    end_sessions,
    freeze_database,
    kill_database,
    kill_database_and_ingester,
    lock_samples,
    restart_database,
)
from tests.faults.faults_ingester import (
    kill_at_any_moment,
    kill_between_commit_and_acknowledgement,
    kill_while_it_rolls_up,
    kill_while_it_writes,
    stop_cleanly,
)
from tests.faults.faults_links import cut_broker_link, cut_database_link, disturb_links
from tests.faults.oracle import complaints
from tests.faults.scale import is_long, seed
from tests.faults.services import Services
from tests.faults.world import World, open_world, until

Fault = Callable[[World], Awaitable[None]]
Ways = tuple[tuple[str, int], ...]
"""How the ingester is run, one after the other: source and number of workers."""
MESSAGES_PER_S = 400


async def freeze_database_beyond_all_patience(world: World) -> None:
    """Longer than 1.5 keep-alives of 30 s, and than the ingester waits for a silent database."""
    await freeze_database(world, seconds=75)


EVERY_FAULT = (
    kill_while_it_writes, kill_while_it_rolls_up, kill_at_any_moment,
    kill_between_commit_and_acknowledgement, stop_cleanly,
    kill_database, kill_database_and_ingester, restart_database, end_sessions, freeze_database,
    lock_samples,
    restart_broker, take_over_client_id,
    cut_broker_link, cut_database_link,
)  # fmt: skip
ONE_PROCESS: Ways = (("mqtt5", 1), ("aiomqtt", 1))
TWO_WORKERS: Ways = (("auto", 2),)


def one_process_schedule() -> dict[Fault, int]:
    """Every fault; in the long version with 35 kills at least."""
    if not is_long():
        return dict.fromkeys(EVERY_FAULT, 1)
    return {
        **dict.fromkeys(EVERY_FAULT, 3),
        kill_while_it_writes: 14,
        kill_while_it_rolls_up: 6,
        kill_at_any_moment: 6,
        kill_between_commit_and_acknowledgement: 6,
        freeze_database_beyond_all_patience: 1,
    }


def two_workers_schedule() -> dict[Fault, int]:
    """What may be different where several share a subscription."""
    faults = (
        kill_while_it_writes, kill_at_any_moment, restart_broker, take_over_client_id,
        cut_broker_link,
    )  # fmt: skip
    return dict.fromkeys(faults, 4 if is_long() else 1)


@pytest.mark.parametrize(
    ("ways", "schedule"),
    [
        pytest.param(ONE_PROCESS, one_process_schedule, id="one process"),
        pytest.param(TWO_WORKERS, two_workers_schedule, id="two workers"),
    ],
)
async def test_every_accepted_message_counts_once_whatever_fails(
    own_services: Services, tmp_path: Path, ways: Ways, schedule: Callable[[], dict[Fault, int]]
) -> None:
    """Faults in random order, under traffic; then the oracle finds nothing."""
    number, times = seed(), schedule()
    async with open_world(own_services, tmp_path, number) as world:
        await _judged(world, ways, number, lambda: _in_random_order(world, times, ways))
        for fault, n in times.items():
            assert world.effects[fault.__name__] >= n, _story(world, number, [fault.__name__])


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the old session is unsubscribed before the new ones are subscribed: what is published"
    " between them is lost (ingest/retire.py)",
)
async def test_another_number_of_workers_loses_nothing(
    own_services: Services, tmp_path: Path
) -> None:
    """From one process to two workers, while messages are published."""
    number = seed()
    async with open_world(own_services, tmp_path, number) as world:

        async def work() -> bool:
            return len(world.ingester.processes) == 1 + world.workers

        async def change() -> None:
            await world.run_ingester(*TWO_WORKERS[0])
            await until(work, "the workers are not started", 30)
            await world.until_ingesting()

        await _judged(world, ONE_PROCESS, number, change)


async def _judged(
    world: World, ways: Ways, number: int, happens: Callable[[], Awaitable[None]]
) -> None:
    """Let something happen under traffic; fails with all that is wrong afterwards."""
    try:
        await world.run_ingester(*ways[0])
        await _session_exists(world)
        await _under_traffic(world, happens())
        await _drained(world)
        wrong = await _judge(world)
    except AssertionError as error:
        raise AssertionError(_story(world, number, [str(error)])) from error
    assert not wrong, _story(world, number, wrong)
    print(_story(world, number, []))


async def _session_exists(world: World) -> None:
    """Publish poison until the broker takes it for somebody: only then it keeps what comes."""
    publisher = world.publisher

    async def is_heard() -> bool:
        for envelope in world.traffic.each_poison()[:1]:
            await publisher.publish(envelope)
        await publisher.settled(5)
        return bool(publisher.book.accepted_refusals)

    await until(is_heard, "the ingester does not subscribe", 30)
    publisher.unheard = 0


async def _in_random_order(world: World, times: dict[Fault, int], ways: Ways) -> None:
    """All faults, in the order of the dice; the ways to run share them."""
    schedule = [fault for fault, n in times.items() for _ in range(n)]
    world.rng.shuffle(schedule)
    disturbance = asyncio.create_task(disturb_links(world))
    try:
        for i, fault in enumerate(schedule):
            way, last = (ways[j * len(ways) // len(schedule)] for j in (i, max(i - 1, 0)))
            if way != last:
                await world.run_ingester(*way)
            await _happen(world, fault)
            await world.pause(0.3)
    finally:
        disturbance.cancel()
        world.broker_link.calm()
        world.database_link.calm()


async def _happen(world: World, fault: Fault) -> None:
    began = time.monotonic()
    try:
        await fault(world)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{fault.__name__}: {error or 'took too long'}") from error
    finally:
        print(f"{fault.__name__}: {time.monotonic() - began:.1f} s")


async def _under_traffic(world: World, what: Awaitable[None]) -> None:
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
    lost = world.publisher.unheard
    assert not lost, f"nobody was subscribed when {lost} messages were published: they are lost"


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
    if "Traceback" in world.ingester.log.read_text(errors="replace"):
        wrong.append("the ingester's log holds a traceback")
    return wrong + await complaints(await world.session(), world.publisher.book, world.base_ms)


def _story(world: World, seed: int, wrong: list[str]) -> str:
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
