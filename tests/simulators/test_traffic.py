import json
from collections import Counter, defaultdict
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from ingest.formats import named
from shudao.streams import STREAMS
from shudao.vocabulary import CARRIER_IDS, TECHNOLOGY_IDS
from simulators.devices import Population, Role, population
from simulators.faults import NO_FAULTS, Faults
from simulators.messages import Message
from simulators.places import Places
from simulators.traffic import Traffic
from simulators.world import World, build_world

START = 1_600_000_000_000
DAY = 86_400_000


def traffic(
    world: World,
    reporters: Population | None = None,
    faults: Faults = NO_FAULTS,
    history_ms: int = 3 * DAY,
) -> Traffic:
    everyone = population(world, devices=3_000) if reporters is None else reporters
    return Traffic(world, everyone, start_ms=START, history_ms=history_ms, faults=faults)


def take(source: Traffic, count: int, now_ms: int = START) -> list[Message]:
    """So many messages, in blocks as a fleet takes them."""
    return [m for _ in range(count // 100) for m in source.take(100, now_ms)]


def samples(message: Message) -> list[dict[str, Any]]:
    if form := named(message.content_type):
        translated = form.translate(message.payload, "radio")
        assert translated.faults == []
        return [{k: v for k, v in s.items() if k != "stream"} for s in translated.objects]
    body = json.loads(message.payload)
    return body if isinstance(body, list) else [body]


def instant(sample: dict[str, Any]) -> tuple[int, str]:
    return sample["time"], sample.get("metric", "")


def drivers(world: World) -> Population:
    everyone = population(world)
    first = int(np.flatnonzero(everyone.role == Role.DRIVE)[0])
    tester = np.flatnonzero(everyone.device == everyone.device[first])
    return everyone.take(tester)


def few(places: Places) -> Places:
    """The first thousand villages."""
    return replace(places, **{f.name: getattr(places, f.name)[:1_000] for f in fields(places)})


def test_the_same_seed_gives_the_same_bytes(places: Places) -> None:
    """Topics and payloads of histories, fresh samples and faults, however they are taken."""
    faults = Faults(0.05, 0.05, 0.05, 0.2)
    one, two = (traffic(build_world(few(places), 7), faults=faults) for _ in range(2))
    now = START + 5_000
    first = [m for _ in range(40) for m in one.take(100, now)]
    second = [m for _ in range(80) for m in two.take(50, now)]
    assert len(second) > 3_900
    for here, there in zip(first, second, strict=False):
        assert (here.topic, here.payload, here.kind) == (there.topic, there.payload, there.kind)


def test_another_seed_gives_other_bytes(places: Places) -> None:
    """No payload of two seeds is the same."""
    one, two = (take(traffic(build_world(few(places), seed)), 1_000) for seed in (7, 8))
    assert not {m.payload for m in one} & {m.payload for m in two}


def check_contract(message: Message, sample: dict[str, Any]) -> None:
    """What shudao/streams.py asks of one sample on a topic."""
    prefix, version, carrier, stream, device = message.topic.split("/")
    assert (prefix, version) == ("shudao", "v1")
    assert carrier in CARRIER_IDS
    assert device.split("-")[1] == carrier
    if stream == "reading":
        assert set(sample) == {"time", "metric", "value"}
        assert isinstance(sample["value"], int | float)
        return
    fields = {f.name: f for name in STREAMS if name == stream for f in STREAMS[name].fields}
    assert set(sample) <= {"time", "technology", *fields}
    assert isinstance(sample["time"], int)
    assert sample.get("technology", "nr") in TECHNOLOGY_IDS
    for key in set(sample) & set(fields):
        assert fields[key].low <= sample[key] <= fields[key].high, (key, sample)
        assert not fields[key].is_integer or isinstance(sample[key], int), (key, sample)
    if sample.get("attached") == 0:
        assert "rsrp_dbm" not in sample
    else:
        assert "rsrp_dbm" in sample or "down_mbps" in sample


def test_every_payload_is_as_the_contract_says(world: World) -> None:
    """Histories and fresh samples of 200 devices of each role and technology."""
    everyone = population(world, share=0.05)
    kinds = 100 * everyone.role.astype(np.int64) + everyone.technology
    first = [np.flatnonzero(kinds == kind)[:200] for kind in np.unique(kinds)]
    source = traffic(world, everyone.take(np.concatenate(first)))
    size = sum(map(len, first))
    messages = source.take(size, START) + source.take(size, START)
    seen = {m.topic.split("/")[4].split("-")[0] for m in messages}
    assert seen >= {"nb", "probe", "station", "ftth", "dsl", "sat", "drive", "air"}
    for message in messages:
        found = samples(message)
        assert len(found) == message.samples
        for sample in found:
            check_contract(message, sample)


def test_a_history_fills_the_days_before_the_start(world: World) -> None:
    """21 samples of NB-IoT on three days or more, 4G and 5G by turns, 6 broadband tests."""
    by_role = defaultdict(list)
    for message in take(traffic(world), 1_000):
        by_role[message.topic.split("/")[4].split("-")[0]].append(samples(message))
    for role, count in {"nb": 21, "probe": 42, "station": 21, "ftth": 6}.items():
        for found in by_role[role]:
            times = [s["time"] for s in found]
            assert len(set(times)) == count
            assert START - 3 * DAY - 2 <= min(times) <= max(times) < START
            assert len({t // DAY for t in times}) >= 3
    for found in by_role["probe"]:
        assert sum(s.get("technology") == "nr" for s in found) == 21


def test_a_device_never_sends_two_samples_of_one_instant(world: World) -> None:
    """Histories, then fresh samples faster than the clock ticks, also of testers."""
    for who in (population(world, devices=40), drivers(world)):
        source = traffic(world, who)
        seen: set[tuple[str, int, str]] = set()
        for _ in range(20):
            for message in source.take(100, START + 3):
                for sample in samples(message):
                    key = (message.topic, *instant(sample))
                    assert key not in seen
                    seen.add(key)


def test_runs_at_other_times_never_share_an_instant(world: World) -> None:
    """Histories lie on even milliseconds, fresh samples on odd ones or, of formats that know no
    finer times, on whole seconds; so a run's are not in the history of the next."""
    histories = take(traffic(world), 1_000)
    fresh = take(traffic(world, history_ms=0), 1_000, START + 10)
    old = {s["time"] for m in histories for s in samples(m)}
    new = {s["time"] for m in fresh for s in samples(m)}
    assert not any(time % 2 or time % 1000 == 0 for time in old)
    assert all(time % 2 or time % 1000 == 0 for time in new)


def test_a_tester_moves_along_its_corridor(world: World) -> None:
    """Ordered by time, three samples in each kilometre, then the next; 400 m from its middle. Half
    of its samples are of 5G."""
    who = drivers(world)
    fixes = []
    for message in traffic(world, who).take(len(who), START):
        found = samples(message)
        fixes += [(s["time"], s["lon"], s["lat"]) for s in found]
        assert sum(s.get("technology") == "nr" for s in found) == len(found) / 2
    stops = sorted(who.place.tolist(), key=lambda row: world.places.code[row])
    for i, (_, lon, lat) in enumerate(sorted(fixes)):
        stop = stops[i // 3 % len(stops)]
        north = 111.2 * (lat - world.places.lat[stop])
        east = 111.2 * (lon - world.places.lon[stop]) * np.cos(np.radians(lat))
        assert np.hypot(north, east) < 0.4
    assert len({(lon, lat) for _, lon, lat in fixes}) > 0.9 * len(fixes), "it does not stand still"


def test_after_the_histories_come_single_fresh_samples(world: World) -> None:
    """Of now, from the same devices in the same order; a city sensor's readings beside."""
    who = population(world, devices=200)
    source = traffic(world, who)
    first = [m for m in source.take(len(who), START) if len(samples(m)) > 1]
    assert len(first) >= len(who)
    now = START + 60_001
    later = [m for m in source.take(len(who), now) if "/reading/" not in m.topic]
    assert [m.topic.split("/")[4] for m in later] == [who.name(i) for i in range(len(who))]
    for message in later:
        [sample] = samples(message)
        assert now - 1000 < sample["time"] <= now


def test_faults_come_in_their_shares_and_are_what_they_say(world: World) -> None:
    """Of 5,000 messages a twentieth twice, a fiftieth malformed, all counted by kind."""
    who = population(world, devices=5_000)
    messages = take(traffic(world, who, Faults(0.02, 0.05, 0, 0)), 5_000)
    kinds = Counter(m.kind for m in messages)
    assert kinds["valid"] == 5_000 + (who.role[:5_000] > Role.DRIVE).sum(), "readings beside"
    assert 180 < kinds["duplicate"] < 330
    assert 60 < kinds["malformed"] < 150
    valid = {(m.topic, m.payload) for m in messages if m.kind == "valid"}
    assert all((m.topic, m.payload) in valid for m in messages if m.kind == "duplicate")
    broken = [m for m in messages if m.kind == "malformed"]
    assert len({m.payload for m in broken}) == len(broken)
    for message in broken:
        with pytest.raises((AssertionError, TypeError, json.JSONDecodeError)):
            check_without_serial(message)


def check_without_serial(message: Message) -> None:
    sample = samples(message)[0]
    del sample["serial"]
    check_contract(message, sample)


def test_late_messages_come_after_newer_ones_and_none_is_lost(world: World) -> None:
    """All fresh samples arrive, some out of order."""
    who = population(world, devices=50)
    source = traffic(world, who, Faults(0, 0, 0.1, 0), history_ms=0)
    times = []
    for i in range(200):
        for message in source.take(10, START + 1000 * i):
            times.append((message.topic, samples(message)[0]["time"]))
    punctual = traffic(world, who, history_ms=0)
    expected = [
        (m.topic, samples(m)[0]["time"])
        for i in range(200)
        for m in punctual.take(10, START + 1000 * i)
    ]
    assert times != expected[: len(times)]
    assert set(times) <= set(expected)
    early = set(expected[:1_600])
    assert early <= set(times), "what was held back comes after at most 30 s"


def test_shuffled_histories_hold_the_same_samples(world: World) -> None:
    """Out of order inside, nothing lost."""
    who = population(world, devices=200)
    plain, mixed = (
        traffic(world, who, faults).take(len(who), START)
        for faults in (NO_FAULTS, Faults(0, 0, 0, 1))
    )
    for one, two in zip(plain, mixed, strict=True):
        assert one.payload != two.payload
        here, there = (sorted(samples(m), key=instant) for m in (one, two))
        assert here == there


def test_nobody_reports_before_being_ready(world: World) -> None:
    """Only registered reporters have their turn; the others wait."""
    source = traffic(world)
    source.ready = 30
    assert len(source.take(100, START)) == 30
    assert source.take(100, START) == []
    source.ready = 50
    assert len(source.take(100, START)) == 20
