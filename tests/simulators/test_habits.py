"""When devices report, and what sensors read: the traffic model of TR 45.820, and plausibility."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from simulators.devices import NARROWBAND, Role, population
from simulators.draws import Draws
from simulators.faults import NO_FAULTS
from simulators.habits import (
    MAR_INTERVALS_S,
    MAR_SHARES,
    battery_percent,
    mar_intervals,
    report_bytes,
)
from simulators.messages import Message
from simulators.places import Places, make_places
from simulators.sensors import SENSORS, lamp_power, water_volume
from simulators.traffic import Traffic
from simulators.world import World, build_world

DRAWS = Draws(3)
MANY = np.arange(100_000)
START = 1_600_000_000_000
HOUR, DAY = 3_600_000, 86_400_000


def test_intervals_have_the_shares_of_the_model() -> None:
    """40 % daily, 40 % every two hours, 15 % hourly, 5 % half-hourly: 11.2 reports a day."""
    drawn = mar_intervals(DRAWS, MANY)
    for interval, share in zip(MAR_INTERVALS_S, MAR_SHARES, strict=True):
        assert np.mean(drawn == interval) == pytest.approx(share, abs=0.01)
    assert np.mean(86_400 / drawn) == pytest.approx(11.2, abs=0.2)


def test_sizes_are_pareto_with_a_cut() -> None:
    """20 to 200 bytes; half of them below 20 * 2^(1 / 2.5), 0.3 % at the cut."""
    drawn = report_bytes(DRAWS, MANY)
    assert (drawn.min(), drawn.max()) == (20, 200)
    assert np.median(drawn) == pytest.approx(26.4, abs=1)
    assert np.mean(drawn == 200) == pytest.approx(0.1**2.5, abs=0.001)


def test_a_battery_only_goes_down_until_it_is_replaced() -> None:
    """In years of days: 0 … 100 %, slowly down, at once up; faster for who reports more often."""
    days = START + DAY * np.arange(4_000)[None, :]
    for interval, key in ((86_400, 1), (1_800, 2)):
        left = battery_percent(DRAWS, interval, np.array([[key]]), days)[0]
        assert 0 <= left.min() < left.max() <= 100
        steps = np.diff(left)
        assert np.all((steps < 0) | (steps > 90))
    often, seldom = (
        battery_percent(DRAWS, interval, np.array([[1]]), days[:, :2])[0]
        for interval in (1_800, 86_400)
    )
    assert often[0] - often[1] > 5 * (seldom[0] - seldom[1]) > 0


def test_a_water_meter_never_runs_backwards() -> None:
    """Every ten minutes of a year, and more by day than by night."""
    times = START + 600_000 * np.arange(52_560)[None, :]
    used = np.diff(water_volume(DRAWS, np.array([[5]], np.uint64), times)[0])
    assert used.min() > 0
    assert used.max() > 3 * used.min()


def test_a_street_lamp_is_on_at_night() -> None:
    """At midnight in China and not at noon, in every season; longer in January than in July."""
    key = np.array([[5]], np.uint64)

    def on(first_ms: int) -> Any:
        return lamp_power(DRAWS, key, first_ms - 8 * HOUR + HOUR * np.arange(24)[None, :])[0] > 0

    january, july = on(1_578_960_000_000), on(1_594_684_800_000)
    for by_hour in (january, july):
        assert by_hour[0]
        assert not by_hour[12]
    assert january.sum() > july.sum()


@pytest.fixture(scope="module")
def town(places: Places) -> World:
    """A community with a site of each kind, 30 villages, 30 km of a corridor."""
    home = int(np.flatnonzero(places.is_community)[0])
    rows: list[tuple[Any, ...]] = []

    def add(row: int, kind: str, subkind: str, code: str) -> None:
        where = int(places.county[row]), float(places.lon[row]), float(places.lat[row])
        rows.append((len(rows) + 1, kind, subkind, code, *where))

    for row in [home, *np.flatnonzero(places.is_village)[:30].tolist()]:
        add(row, "village", str(places.subkind[row]), places.code[row])
    for row in np.flatnonzero(places.is_segment)[:30].tolist():
        add(row, "segment", str(places.subkind[row]), places.code[row])
    for kind in ("meter_room", "car_park", "street_lamp", "smoke_alarm"):
        add(home, "site", kind, f"{places.code[home]}-{kind}")
    return build_world(make_places(rows, {}), 7)


def natural(world: World, hours: int, *roles: Role) -> list[Message]:
    """What devices of these roles publish in so many hours, in their own rhythm."""
    everyone = population(world)
    who = everyone.take(np.flatnonzero(np.isin(everyone.role, roles)))
    traffic = Traffic(world, who, start_ms=START, history_ms=0, faults=NO_FAULTS, natural=True)
    messages = []
    for minute in range(1, hours * 60):
        messages += traffic.take(1_000, START + 60_000 * minute)
    return messages


@pytest.fixture(scope="module")
def day(town: World) -> list[Message]:
    """A day of the villages' sensors."""
    return natural(town, 24, Role.SENSOR)


def device(message: Message) -> str:
    return message.topic.split("/")[-1]


def test_each_device_keeps_its_own_interval(town: World, day: list[Message]) -> None:
    """In a day a daily sensor reports once, a half-hourly one 48 times; what was lost comes."""
    who = population(town)
    counts = Counter(device(m) for m in day if m.kind == "valid")
    for row in np.flatnonzero(who.role == Role.SENSOR).tolist():
        expected = 86_400 // int(who.interval_s[row])
        assert abs(counts[who.name(row)] - expected) <= 1
    assert len({who.interval_s[r] for r in np.flatnonzero(who.role == Role.SENSOR)}) == 4


def test_reports_are_spread_over_time(town: World, day: list[Message]) -> None:
    """Daily sensors report all over the day, and nobody is punctual to the second."""
    who = population(town)
    interval_of = {who.name(i): int(who.interval_s[i]) for i in range(len(who))}
    times = defaultdict(list)
    for message in day:
        if not message.content_type and message.kind == "valid":
            times[device(message)].append(json.loads(message.payload)["time"])
    daily = [t[0] for name, t in times.items() if interval_of[name] == 86_400]
    assert np.ptp(daily) > 18 * HOUR
    assert np.diff(sorted(daily)).max() < 8 * HOUR
    errors = [
        np.diff(sorted(t)) - 1000 * interval_of[name] for name, t in times.items() if len(t) > 9
    ]
    assert 5_000 < np.median(np.abs(np.concatenate(errors))) < 60_000


def test_an_unanswered_report_is_sent_again(day: list[Message]) -> None:
    """Some come twice, as they were; some late, after reports that were measured later."""
    again = [m for m in day if m.kind == "duplicate"]
    first = {(m.topic, m.payload) for m in day if m.kind == "valid"}
    assert again
    assert all((m.topic, m.payload) in first for m in again)
    times = [json.loads(m.payload)["time"] for m in day if not m.content_type]
    assert max(np.maximum.accumulate(times) - times) > 15_000


def test_json_reports_carry_a_frame_of_the_size_of_the_model(day: list[Message]) -> None:
    """In the own rhythm, of NB-IoT; 20 to 200 bytes."""
    reports = [m.payload for m in day if not m.content_type]
    sizes = {len(bytes.fromhex(json.loads(payload)["frame"])) for payload in reports}
    assert 20 <= min(sizes) < max(sizes) <= 200


def test_a_tester_passes_one_kilometre_after_the_other(town: World) -> None:
    """30 km in 30 minutes, then again from the beginning; a fix on each of them."""
    fixes = defaultdict(list)
    for message in natural(town, 2, Role.DRIVE):
        sample = json.loads(message.payload)
        fixes[device(message)].append((sample["time"], sample["lon"], sample["lat"]))
    for found in fixes.values():
        times, lon, lat = np.array(sorted(found)).T
        assert np.median(np.diff(times)) == pytest.approx(60_000, abs=5_000)
        steps_km = 111 * np.hypot(np.diff(lat), np.diff(lon) * np.cos(np.radians(30)))
        assert np.median(steps_km) < 2


def test_city_sensors_send_readings_beside_their_signal(town: World) -> None:
    """Each sensor its metrics, battery where it has one, in the same instant as the radio."""
    read: defaultdict[str, set[str]] = defaultdict(set)
    messages = natural(town, 25, *NARROWBAND[1:])
    for message in messages:
        if "/reading/" in message.topic:
            body = json.loads(message.payload)
            read[device(message).split("-")[0]] |= {
                s["metric"] for s in (body if isinstance(body, list) else [body])
            }
    expected = {role.name.lower(): set(metrics) for role, metrics in SENSORS.items()}
    for name in ("water", "parking", "smoke"):
        expected[name].add("battery")
    assert read == expected
    radio = {device(m) for m in messages if "/radio/" in m.topic}
    assert radio == {device(m) for m in messages if "/reading/" in m.topic}
