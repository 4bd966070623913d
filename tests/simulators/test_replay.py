"""Recorded messages are published in order, with their gaps, all of them."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from shudao.streams import topic
from shudao.vocabulary import Carrier
from simulators.fleet import Fleet
from simulators.replay import FASTEST, Replay, Timed, due_ms, shift_to_now
from tests.simulators.test_fleet import listening

RECORDED_MS = 1_500_000_000_000
NOW_MS = 1_800_000_000_000


def recorded(*offsets_ms: int) -> list[Timed]:
    where = topic("mobile", "radio", "recorder")
    return [(RECORDED_MS + offset, where, f"{offset}".encode()) for offset in offsets_ms]


def offsets(replay: Replay, now_ms: int, count: int = 100) -> list[int] | None:
    taken = replay.take(count, now_ms)
    return None if taken is None else [int(message.payload) for message in taken]


@pytest.mark.parametrize("speed", [0.5, 1, 60])
def test_a_message_is_due_when_its_gap_has_passed(speed: float) -> None:
    """Scaled by the speed, counted from the first message, however late that is asked for."""
    replay = Replay(recorded(0, 600, 600, 6_000), speed, Carrier.MOBILE)
    assert offsets(replay, NOW_MS) == [0]
    assert offsets(replay, NOW_MS + int(600 / speed) - 1) == []
    assert offsets(replay, NOW_MS + int(600 / speed)) == [600, 600]
    assert offsets(replay, NOW_MS + int(6_000 / speed) - 1) == []
    assert offsets(replay, NOW_MS + int(6_000 / speed)) == [6_000]
    assert offsets(replay, NOW_MS + 1_000_000) is None


def test_a_slow_broker_delays_messages_and_loses_none() -> None:
    """No more than asked for are taken, the others come with the next turns."""
    replay = Replay(recorded(*range(10)), 1, Carrier.MOBILE)
    turns = [offsets(replay, NOW_MS + 50 * turn, 4) for turn in range(5)]
    assert turns == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9], None]


@pytest.mark.parametrize("speed", [0.5, 1, 3600, FASTEST])
def test_shifted_times_are_never_ahead_and_end_fresh(speed: float) -> None:
    """Nobody reports the future; the freshest sample is of the moment in which it is sent."""
    times = RECORDED_MS + np.array([0, 10, 10_000, 90_000_000])
    ahead_ms = times + shift_to_now(times, speed, NOW_MS) - due_ms(times, speed, NOW_MS)
    assert ahead_ms.max() == 0
    assert ahead_ms[-1 if speed >= 1 else 0] == 0


async def test_all_of_a_recording_is_published_in_order(mqtt_url: str) -> None:
    """As fast as possible: what waits when the recording ends is sent too."""
    replay = Replay(recorded(*range(3_000)), FASTEST, Carrier.MOBILE)
    fleet = Fleet(mqtt_url, replay, rate=10_000, connections=1)
    async with listening(mqtt_url) as received:
        await fleet.run()
    assert [int(bytes(message.payload)) for message in received] == list(range(3_000))
    assert fleet.tally.acknowledged_samples == 3_000


async def test_a_recording_is_played_in_its_time(mqtt_url: str) -> None:
    """1,000 s at a thousand times the speed: a second, and not the time of another speed."""
    replay = Replay(recorded(0, 500_000, 1_000_000), 1_000, Carrier.MOBILE)
    begun = time.monotonic()
    async with asyncio.timeout(20):
        await Fleet(mqtt_url, replay, rate=10_000, connections=1).run()
    assert time.monotonic() - begun >= 1
