"""What each fault does to the platform: a real ingester on a real database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import numpy as np
import pytest

from ingest.ingester import Ingester
from shudao.evaluation import evaluate
from shudao.goals import load_goals
from shudao.vocabulary import Carrier, Technology
from simulators.area_faults import AreaFault, What, by_chance
from simulators.devices import CARRIER_CODES, Population, Role
from simulators.draws import Draws
from simulators.fault_log import FaultLog
from simulators.faults import NO_FAULTS, Faults
from simulators.messages import Message
from simulators.places import Places
from simulators.sensors import SENSORS
from simulators.traffic import Traffic
from simulators.world import World
from tests.simulators.county import (
    COUNTY,
    DAY_MS,
    devices,
    forget,
    hours,
    now_ms,
    read_county,
    store,
)

Connection: TypeAlias = "asyncpg.Connection[Any]"
TELECOM = Carrier.TELECOM - 1
MINUTE_MS = 60_000


def faults(**changed: Any) -> Faults:
    """These and no others."""
    return Faults(**({"malformed": 0, "duplicates": 0, "late": 0, "shuffled": 0} | changed))


@dataclass
class Scene:
    """A county with 200 sensors, lines and air stations of all carriers, and its platform."""

    connection: Connection
    ingester: Ingester
    world: World
    who: Population

    def publish(
        self,
        wrong: Faults,
        *,
        start_ms: int,
        rounds: int = 5,
        every_ms: int = MINUTE_MS,
        log: FaultLog | None = None,
    ) -> list[Message]:
        """Histories, then a report of everybody in each round; the first one round after."""
        traffic = Traffic(
            self.world, self.who, start_ms=start_ms, history_ms=3 * DAY_MS, faults=wrong, log=log
        )
        size = len(self.who)
        messages = traffic.take(size, start_ms)
        for i in range(1, rounds + 1):
            messages += traffic.take(size, start_ms + i * every_ms)
        # Nobody reports any more, what was held back comes.
        return messages + traffic.take(0, start_ms + rounds * every_ms + 3_600_000)

    async def states(self, at_ms: int) -> dict[tuple[int, int], str]:
        """Of general NB-IoT coverage, by row of the place and carrier (0 … 3)."""
        goal = next(g for g in load_goals() if g.id == "nbiot-general")
        now = datetime.fromtimestamp(at_ms / 1000, UTC)
        await evaluate(self.connection, [goal], date(2018, 10, 31), now)
        row_of = {place: row for row, place in enumerate(self.world.places.place_id.tolist())}
        return {
            (row_of[r["place_id"]], r["carrier_id"] - 1): r["state"]
            for r in await self.connection.fetch("SELECT * FROM place_state WHERE carrier_id > 0")
        }


@pytest.fixture
async def scene(connection: Connection, database_url: str) -> AsyncIterator[Scene]:
    world = await read_county(connection)
    who = await devices(connection, world, 200, Role.SENSOR, Role.LINE, Role.AIR)
    ingester = Ingester(database_url, origin="mqtt")
    yield Scene(connection, ingester, world, who)
    await ingester.aclose()


def valid(messages: list[Message]) -> int:
    return sum(m.samples for m in messages if m.kind == "valid")


def area_fault(what: What, from_ms: int, to_ms: int) -> Faults:
    """One of telecom in the county."""
    return faults(areas=(AreaFault(from_ms, to_ms, what, TELECOM, str(COUNTY)),))


async def test_without_faults_everything_is_stored(scene: Scene) -> None:
    """Histories and fresh samples of all streams and formats, none refused, none twice."""
    messages = scene.publish(NO_FAULTS, start_ms=now_ms() - 10 * MINUTE_MS)
    receipt = await store(scene.ingester, messages)
    assert receipt.stored == receipt.received == valid(messages)
    assert len({m.content_type for m in messages}) > 4
    read = "SELECT DISTINCT name FROM reading JOIN metric USING (metric_id)"
    assert {r["name"] for r in await scene.connection.fetch(read)} == {"pm2_5", "temperature"}
    known = {r["name"] for r in await scene.connection.fetch("SELECT name FROM metric")}
    assert known >= {"battery", *(metric for models in SENSORS.values() for metric in models)}


async def test_malformed_messages_end_in_quarantine_with_their_reason(scene: Scene) -> None:
    """Broken JSON, a number as text, an unknown device; once each, and nothing else is."""
    messages = scene.publish(faults(malformed=0.1), start_ms=now_ms() - 10 * MINUTE_MS)
    receipt = await store(scene.ingester, messages)
    assert set(receipt.quarantined) == {"malformed", "invalid_field", "unknown_device"}
    assert receipt.quarantined.total() == sum(m.kind == "malformed" for m in messages) > 50
    assert receipt.stored == valid(messages)


async def test_sentinels_are_out_of_range(scene: Scene) -> None:
    """What modules send for "not measured" is refused, and the valid samples beside are not."""
    messages = scene.publish(faults(sentinels=0.1), start_ms=now_ms() - 10 * MINUTE_MS)
    receipt = await store(scene.ingester, messages)
    sent = sum(m.fault == "sentinel" for m in messages)
    assert receipt.quarantined == {"out_of_range": sent}
    assert sent > 50
    assert receipt.stored == valid(messages)


async def test_wrong_clocks_are_refused_as_what_they_are(scene: Scene) -> None:
    """A clock that is hours ahead, one that was reset; the histories before stay."""
    messages = scene.publish(faults(clocks=0.2), start_ms=now_ms() - 10 * MINUTE_MS)
    receipt = await store(scene.ingester, messages)
    assert set(receipt.quarantined) == {"time_ahead", "time_old"}
    wrong = sum(m.samples for m in messages if m.fault == "clock")
    assert receipt.quarantined.total() == wrong > 50
    assert receipt.stored == valid(messages)


async def test_duplicates_count_once(scene: Scene) -> None:
    """A fifth of the messages twice: the numbers are those of the others."""
    messages = scene.publish(faults(duplicates=0.2), start_ms=now_ms() - 10 * MINUTE_MS)
    receipt = await store(scene.ingester, messages)
    twice = sum(m.samples for m in messages if m.kind == "duplicate")
    assert (receipt.stored, receipt.duplicates) == (valid(messages), twice)
    assert twice > 500


@pytest.mark.parametrize("disorder", [{"late": 0.3}, {"shuffled": 1.0}])
async def test_disorder_changes_no_number(scene: Scene, disorder: dict[str, float]) -> None:
    """Late messages and histories out of order count in the hours in which they were measured."""
    start_ms = now_ms() - 2 * 3_600_000
    ordered = scene.publish(NO_FAULTS, start_ms=start_ms)
    await store(scene.ingester, ordered)
    expected = await hours(scene.connection)
    await forget(scene.connection)

    mixed = scene.publish(faults(**disorder), start_ms=start_ms)
    for i in range(0, len(mixed), 300):
        await store(scene.ingester, mixed[i : i + 300])

    assert [m.payload for m in mixed] != [m.payload for m in ordered]
    assert await hours(scene.connection) == expected


async def test_a_flood_changes_nobody_elses_numbers(scene: Scene) -> None:
    """A device that sends 20 messages more in each second is counted in full, where it stands."""
    start_ms = now_ms() - 2 * 3_600_000
    await store(scene.ingester, scene.publish(NO_FAULTS, start_ms=start_ms))
    expected = await hours(scene.connection)
    await forget(scene.connection)

    messages = scene.publish(faults(flood=20), start_ms=start_ms)
    receipt = await store(scene.ingester, messages)

    flood = [m for m in messages if m.fault == "flood"]
    assert {m.topic for m in flood} == {messages[0].topic}
    assert len(flood) == 6 * 20, "the last second before each of six moments"
    assert receipt.stored == valid(messages)
    found = await hours(scene.connection)
    changed = {key[:2] for key in found if found[key] != expected.get(key)}
    place = scene.world.places.place_id[scene.who.place[0]]
    assert changed == {(place, scene.who.carrier[0] + 1)}


async def test_where_devices_are_silent_the_place_becomes_unknown(scene: Scene) -> None:
    """After a week without their sensor; the others stay known."""
    start_ms = now_ms() - 10 * DAY_MS
    messages = scene.publish(faults(silent=0.5), start_ms=start_ms, rounds=9, every_ms=DAY_MS)
    await store(scene.ingester, messages)
    before = await scene.states(start_ms)
    assert "unknown" not in before.values()

    after = await scene.states(now_ms())

    heard = {m.topic.split("/")[-1] for m in messages if m.samples == 1}
    for row in np.flatnonzero(scene.who.role == Role.SENSOR).tolist():
        state = after[int(scene.who.place[row]), int(scene.who.carrier[row])]
        assert (state != "unknown") == (scene.who.name(row) in heard)
    assert Counter(state == "unknown" for state in after.values()).keys() == {True, False}


async def test_a_regression_uncovers_places_of_one_carrier(scene: Scene) -> None:
    """25 dB less, in all places of telecom whose signal was not far above the goal's."""
    start_ms = now_ms() - 9 * DAY_MS
    as_ever = scene.publish(NO_FAULTS, start_ms=start_ms, rounds=8, every_ms=DAY_MS)
    await store(scene.ingester, as_ever)
    without = await scene.states(now_ms())
    await forget(scene.connection)

    fault = area_fault("regression", DAY_MS // 2, 20 * DAY_MS)
    await store(scene.ingester, scene.publish(fault, start_ms=start_ms, rounds=8, every_ms=DAY_MS))
    found = await scene.states(now_ms())

    signal = scene.world.layers[Technology.NBIOT].rsrp_dbm
    near = {k for k in without if k[1] == TELECOM and without[k] == "covered" and signal[k] < -88}
    assert {found[key] for key in near} == {"uncovered"}
    assert {carrier for row, carrier in found if found[row, carrier] != without[row, carrier]} == {
        TELECOM
    }


async def test_slow_lines_are_seen_during_a_regression(scene: Scene) -> None:
    """Telecom's lines have a tenth of their rate then, the others' what they had."""
    start_ms = now_ms() - 10 * MINUTE_MS
    fault = area_fault("regression", MINUTE_MS, 4 * MINUTE_MS)
    await store(scene.ingester, scene.publish(fault, start_ms=start_ms))
    rates = await scene.connection.fetch(
        "SELECT carrier_id = 1 AS telecom, time >= $1 AND time < $2 AS then, avg(down_mbps) AS mbps"
        " FROM broadband_sample WHERE time > $3 GROUP BY 1, 2",
        *(
            datetime.fromtimestamp(ms / 1000, UTC)
            for ms in (start_ms + MINUTE_MS, start_ms + 4 * MINUTE_MS, start_ms)
        ),
    )
    mbps = {(r["telecom"], r["then"]): r["mbps"] for r in rates}
    assert mbps[True, True] == pytest.approx(0.1 * mbps[True, False], rel=0.2)
    assert mbps[False, True] == pytest.approx(mbps[False, False], rel=0.2)


async def test_in_an_outage_devices_say_that_they_find_no_cell(scene: Scene) -> None:
    """All of telecom's sensors, while it lasts, and none of the others."""
    start_ms = now_ms() - 10 * MINUTE_MS
    fault = area_fault("outage", 2 * MINUTE_MS, 4 * MINUTE_MS)
    await store(scene.ingester, scene.publish(fault, start_ms=start_ms))
    rows = await scene.connection.fetch(
        "SELECT extract(epoch FROM time) * 1000 - $1::bigint AS ms, carrier_id, attached, rsrp_dbm"
        " FROM radio_sample WHERE extract(epoch FROM time) * 1000 > $1::bigint",
        start_ms,
    )
    inside = [r for r in rows if r["carrier_id"] == 1 and 2 <= round(r["ms"] / MINUTE_MS) < 4]
    outside = [r for r in rows if r not in inside]
    assert inside
    assert all((r["attached"], r["rsrp_dbm"]) == (0, None) for r in inside)
    assert np.mean([r["attached"] == 0 for r in outside]) < 0.2, "some places have no signal"


async def test_without_backhaul_samples_arrive_afterwards_and_all_count(scene: Scene) -> None:
    """One batch from each device and stream, in the hours in which it was measured."""
    counts = "radio_n, detached_n, broadband_n"  # a batch is finer than a module's own format
    start_ms = now_ms() - 2 * 3_600_000
    await store(scene.ingester, scene.publish(NO_FAULTS, start_ms=start_ms))
    expected = await hours(scene.connection, counts)
    await forget(scene.connection)

    fault = area_fault("backhaul", 2 * MINUTE_MS, 4 * MINUTE_MS + 1)
    messages = scene.publish(fault, start_ms=start_ms)
    for i in range(0, len(messages), 300):
        await store(scene.ingester, messages[i : i + 300])

    telecom = [m for m in messages if m.carrier == TELECOM and "/reading/" not in m.topic]
    came = Counter(m.topic for m in telecom)
    sizes = {m.topic: [n.samples for n in telecom if n.topic == m.topic][1:] for m in telecom}
    assert set(came.values()) == {4}, "history, the first round, one batch, the fifth round"
    assert all(sorted(s) == [1, 1, 3] for s in sizes.values())
    assert await hours(scene.connection, counts) == expected


async def test_every_fault_is_in_the_log(scene: Scene, tmp_path: Path) -> None:
    """Of areas and devices when they begin, of messages when they are sent; nothing but faults."""
    path = tmp_path / "faults.jsonl"
    log = FaultLog(path)
    start_ms = now_ms() - 10 * MINUTE_MS
    area = AreaFault(MINUTE_MS, 2 * MINUTE_MS, "outage", TELECOM, "5109")
    wrong = Faults(
        malformed=0.05, duplicates=0.05, late=0.05, shuffled=0.05, sentinels=0.05, clocks=0.1,
        silent=0.1, flood=1.0, areas=(area,),
    )  # fmt: skip
    messages = scene.publish(wrong, start_ms=start_ms, log=log)
    for message in messages:
        log.message(message, start_ms)
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    by_kind = Counter(entry["what"] for entry in entries)
    sent = Counter(m.fault for m in messages if m.fault)
    assert by_kind == sent + Counter(silent=by_kind["silent"], outage=1)
    assert {"malformed", "duplicate", "late", "shuffled", "sentinel", "clock", "flood"} == set(sent)
    [outage] = [e for e in entries if e["what"] == "outage"]
    assert outage == {
        "what": "outage", "carrier": "telecom", "area": "5109",
        "from": start_ms + MINUTE_MS, "to": start_ms + 2 * MINUTE_MS,
    }  # fmt: skip
    silent = {e["device"] for e in entries if e["what"] == "silent"}
    fresh = {m.topic.split("/")[-1] for m in messages if m.samples == 1 and "ghost" not in m.topic}
    names = {scene.who.name(i) for i in range(len(scene.who))}
    assert silent == names - fresh
    assert silent


def test_area_faults_by_chance_come_at_their_rate(places: Places) -> None:
    """Six an hour for a hundred hours, of all kinds and carriers, in order, reproducibly."""

    def hundred_hours() -> list[AreaFault]:
        found = []
        for fault in by_chance(Draws(1), 6.0, places.county, 0):
            if fault.from_ms > 100 * 3_600_000:
                break
            found.append(fault)
        return found

    found = hundred_hours()
    assert found == hundred_hours() == sorted(found)
    assert 500 < len(found) < 700
    assert len({f.what for f in found}) == 3
    assert len({f.carrier for f in found}) == len(CARRIER_CODES)
    assert len({f.area for f in found}) > 150
    assert 400 < np.median([f.to_ms - f.from_ms for f in found]) / 1000 < 900
