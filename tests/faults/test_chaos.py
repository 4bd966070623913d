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

from tests.faults.faults_broker import restart_broker, take_over_client_id
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
from tests.faults.run import Way, judged, story
from tests.faults.scale import is_long, only_long, seed
from tests.faults.services import Services
from tests.faults.world import World, open_world

Fault = Callable[[World], Awaitable[None]]
Ways = tuple[Way, ...]
"""How the ingester is run, one after the other."""


async def freeze_database_beyond_all_patience(world: World) -> None:
    """Longer than 1.5 keep-alives of 30 s, and than the ingester waits for a silent database."""
    await freeze_database(world, seconds=75)
    world.effects["freeze_database_beyond_all_patience"] += 1


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
        return {**dict.fromkeys(EVERY_FAULT, 1), kill_while_it_rolls_up: 2}
    return {
        **dict.fromkeys(EVERY_FAULT, 3),
        kill_while_it_writes: 14,
        kill_while_it_rolls_up: 6,
        kill_at_any_moment: 6,
        kill_between_commit_and_acknowledgement: 6,
        freeze_database_beyond_all_patience: 1,
    }


def two_workers_schedule() -> dict[Fault, int]:
    """What may be different where several share a subscription.

    Not a restart of the broker: see test_workers.py.
    """
    faults = (kill_while_it_writes, kill_at_any_moment, take_over_client_id, cut_broker_link)
    return dict.fromkeys(faults, 5)


@pytest.mark.parametrize(
    ("ways", "schedule"),
    [
        pytest.param(ONE_PROCESS, one_process_schedule, id="one process"),
        pytest.param(TWO_WORKERS, two_workers_schedule, id="two workers", marks=only_long),
    ],
)
async def test_every_accepted_message_counts_once_whatever_fails(
    own_services: Services, tmp_path: Path, ways: Ways, schedule: Callable[[], dict[Fault, int]]
) -> None:
    """Faults in random order, under traffic; then the oracle finds nothing."""
    number, times = seed(), schedule()
    async with open_world(own_services, tmp_path, number) as world:
        await judged(world, ways[0], number, lambda: _in_random_order(world, times, ways))
        for fault, n in times.items():
            assert world.effects[fault.__name__] >= n, story(world, number, [fault.__name__])


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
        await world.until_close_behind()
        await fault(world)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{fault.__name__}: {error or 'took too long'}") from error
    finally:
        print(f"{fault.__name__}: {time.monotonic() - began:.1f} s")
