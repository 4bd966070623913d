"""``shudao simulate --replay``: a recorded file as live MQTT, at the speed in which it was recorded
or another.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from shudao.cli.options import carrier_id
from shudao.errors import ShudaoError
from shudao.vocabulary import TECHNOLOGY_IDS, UNPLACED, Carrier

if TYPE_CHECKING:
    from ingest.recorded.load import NamedProfile
    from ingest.recorded.recording import Recording

DAY_MS = 86_400_000
_MOST_PER_S = 10_000.0
"""More than one connection of ours can publish."""


@dataclass(frozen=True, slots=True)
class Play:
    """What to replay, and how; ``profile`` and ``place`` may be empty."""

    file: str
    profile: str
    speed: float
    shift: bool
    carriers: list[str]
    place: str


def parse_speed(text: str | float) -> float:
    """1, 60, 60x, 0.5 or max. Raises `typer.BadParameter`."""
    from simulators.replay import FASTEST

    if text == "max":
        return FASTEST
    try:
        speed = float(str(text).removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise typer.BadParameter(f"{text!r} is no speed: write 1, 60, 0.5 or max")
    return min(speed, FASTEST)


async def play(what: Play, seconds: float | None, *, as_json: bool) -> None:
    """Register the devices of a recording, then publish it. Raises `ShudaoError`."""
    from ingest.recorded.load import load_profile, recognise
    from ingest.recorded.recording import read_recording
    from shudao.cli.simulate import until_stopped
    from shudao.settings import mqtt_url
    from simulators.broker import check_broker
    from simulators.fleet import Fleet
    from simulators.progress import showing
    from simulators.replay import Replay

    url, carrier = mqtt_url(), _carrier(what.carriers)
    named = load_profile(what.profile) if what.profile else recognise(what.file)
    recording = read_recording(what.file, named, carrier)
    shift_ms = _shift_ms(recording, what)
    await check_broker(url, "shudao-simulate-check")
    await _register(recording, named, carrier, what.place)
    _announce(recording, named, what.speed)
    messages = recording.messages(carrier, shift_ms)
    # One connection: several would mix up the order.
    fleet = Fleet(url, Replay(messages, what.speed, carrier), rate=_MOST_PER_S, connections=1)
    async with showing(fleet.tally, as_json=as_json):
        await until_stopped(fleet, seconds)


def _carrier(names: list[str]) -> Carrier:
    if len(names) > 1:
        raise ShudaoError("a recording is of one carrier", "give --carrier once with --replay")
    return Carrier(carrier_id(names[0]))


async def _register(
    recording: Recording, named: NamedProfile, carrier: Carrier, place: str
) -> None:
    from ingest.recorded.devices import Owner, find_village, register
    from shudao.database.connect import connect
    from shudao.settings import get_settings

    connection = await connect()
    try:
        vintage = get_settings().vintage
        place_id = await find_village(connection, place, vintage) if place else UNPLACED
        technology_id = TECHNOLOGY_IDS[named.profile.technology]
        await register(connection, set(recording.device), technology_id, Owner(carrier, place_id))
    finally:
        await connection.close()


def _shift_ms(recording: Recording, what: Play) -> int:
    """What to add to the times. Raises `ShudaoError` when the platform would refuse samples."""
    from shudao.settings import get_settings
    from simulators.replay import due_ms, shift_to_now

    now_ms = time.time_ns() // 1_000_000
    times = recording.time_ms
    shift_ms = shift_to_now(times, what.speed, now_ms) if what.shift else 0
    age_ms = due_ms(times, what.speed, now_ms) - (times + shift_ms)
    settings = get_settings()
    old, ahead = age_ms > settings.max_age_days * DAY_MS, age_ms < -settings.max_ahead_s * 1000
    if refused := int((old | ahead).sum()):
        days = math.ceil(age_ms.max() / DAY_MS)
        raise ShudaoError(
            f"the platform would refuse {refused:,} of {len(times):,} samples, as older than"
            f" {settings.max_age_days} days or ahead of now",
            f"set SHUDAO_MAX_AGE_DAYS={days}, here and for `shudao ingest`"
            if what.shift
            else "add --shift-to-now to move them",
        )
    return shift_ms


def _announce(recording: Recording, named: NamedProfile, speed: float) -> None:
    span_s = int(recording.time_ms[-1] - recording.time_ms[0]) / 1000
    unreadable = f"; {recording.unreadable:,} lines hold none" if recording.unreadable else ""
    print(
        f"{named.name}: {len(recording):,} samples of {len(set(recording.device)):,} devices in"
        f" {span_s:,.0f} s, played in {span_s / speed:,.0f} s or more{unreadable}",
        file=sys.stderr,
    )
