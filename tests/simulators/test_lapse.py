import asyncio
import json
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
import numpy as np
import pytest

from ingest.check import Limits
from ingest.ingester import Ingester
from shudao.evaluation.sql import state_sql
from shudao.goals import load_goals
from simulators.devices import Role, population
from simulators.lapse import SESSIONS, Lapse, Month, months_between
from simulators.messages import Message
from simulators.rollout import month_of
from simulators.score import score
from simulators.world import World
from tests.simulators.county import devices, read_county, store
from tests.simulators.test_simulate_cli import start

Connection: TypeAlias = "asyncpg.Connection[Any]"
GOALS = {goal.id: goal for goal in load_goals()}
JUNE = Month(date(2019, 6, 1), date(2019, 6, 30))


def test_months_are_cut_at_the_days_that_were_asked_for() -> None:
    """From 25 August to 2 October 2018: a part, a whole, a part; each ends at midnight."""
    months = months_between(date(2018, 8, 25), date(2018, 10, 2))
    assert [(m.first.isoformat(), m.last.isoformat()) for m in months] == [
        ("2018-08-25", "2018-08-31"), ("2018-09-01", "2018-09-30"), ("2018-10-01", "2018-10-02"),
    ]  # fmt: skip
    assert months[1].end == datetime(2018, 10, 1, tzinfo=UTC)


def all_of(lapse: Lapse) -> list[Message]:
    found: list[Message] = []
    while (more := lapse.take(1_000, 0)) is not None:
        found += more
    return found


def times_of(message: Message) -> list[int]:
    return [sample["time"] for sample in msgspec.json.decode(message.payload)]


def test_each_device_measures_in_its_sessions_within_the_month(world: World) -> None:
    """As often as it says, once an instant, from the 1st to the 28th, the last in a fresh week."""
    reporters = population(world, share=0.003)
    messages = all_of(Lapse(world, reporters, [JUNE]))
    sensors = [m for m in messages if "/radio/nb-" in m.topic]
    assert len(sensors) == (reporters.role == Role.SENSOR).sum() > 100
    for message in sensors:
        times = times_of(message)
        hours = {t // 3_600_000 for t in times}
        assert len(times) == len(set(times)) == message.samples == 40
        assert len(hours) == SESSIONS[Role.SENSOR].sessions
        days = [datetime.fromtimestamp(t / 1000, UTC).date() for t in times]
        assert date(2019, 6, 1) <= days[0]
        assert date(2019, 6, 25) <= days[-1] <= date(2019, 6, 28)
    drives = [times_of(m) for m in messages if "/radio/drive-" in m.topic]
    assert sum(map(len, drives)) == len({t for times in drives for t in times}) or not drives


def test_the_same_seed_gives_the_same_bytes(world: World) -> None:
    """Twice; and another month gives others."""
    reporters = population(world, share=0.001)
    july = Month(date(2019, 7, 1), date(2019, 7, 31))
    one, again, other = (all_of(Lapse(world, reporters, [m])) for m in (JUNE, JUNE, july))
    assert [m.payload for m in one] == [m.payload for m in again]
    assert [m.payload for m in one] != [m.payload for m in other]


def test_a_line_that_was_replaced_names_its_technology_of_then(world: World) -> None:
    """A village that got telecom's fibre later was tested over copper or satellite, not fibre."""
    reporters = population(world, share=0.02)
    then = world.at(month_of(JUNE.first)).fixed.technology
    lines = np.flatnonzero(reporters.role == Role.LINE)
    at = reporters.place[lines], reporters.carrier[lines]
    later = lines[(then[at] > 0) & (then[at] != reporters.technology[lines])]
    assert len(later) > 5
    tests = {
        m.topic.rpartition("/")[2]: msgspec.json.decode(m.payload)
        for m in all_of(Lapse(world, reporters.take(lines), [JUNE]))
    }
    for row in later.tolist():
        said = {sample["technology"] for sample in tests[reporters.name(row)]}
        assert said <= {"dsl", "satellite"}
    without = lines[then[at] == 0]
    assert len(without) > 5
    assert not {reporters.name(row) for row in without.tolist()} & tests.keys()


def test_a_speed_holds_messages_back(world: World) -> None:
    """30 days at 10 a second: a third after a second, all after three."""
    lapse = Lapse(world, population(world, share=0.1), [JUNE], days_per_s=10)
    taken = [len(lapse.take(1_000_000, now) or []) for now in (1, 1_001, 2_001, 3_002)]
    total = sum(taken)
    assert taken[0] < 0.1 * total
    assert sum(taken[:2]) == pytest.approx(total / 3, rel=0.15)
    assert taken[3] > 0


async def test_estimates_of_a_county_agree_with_its_truth(
    connection: Connection, database_url: str
) -> None:
    """Sensors and lines of one county, through the real ingester: the interval holds the truth,
    and it moves with the roll-out."""
    world = await read_county(connection)
    reporters = await devices(connection, world, 1_000_000, Role.SENSOR, Role.LINE)
    december = Month(date(2020, 12, 1), date(2020, 12, 31))
    ingester = Ingester(database_url, origin="mqtt", limits=Limits(None, None))
    try:
        for month in (JUNE, december):
            receipt = await store(ingester, all_of(Lapse(world, reporters, [month])))
            assert receipt.quarantined.total() == 0
    finally:
        await ingester.aclose()
    found = {}
    for goal in (GOALS["nbiot-general"], GOALS["village-fibre"], GOALS["fixed-speed"]):
        for month in (JUNE, december):
            then = world.at(month_of(month.first))
            rows = await connection.fetch(state_sql(goal, date(2018, 10, 31), month.end))
            result = score(then, goal, month.end, rows)
            assert result is not None
            assert (result.counties, result.rows[0].measured) == (1, result.rows[0].places)
            assert result.either == 1, result
            assert result.rows[0].high - result.rows[0].low < 0.06
            found[goal.id, month.first.year] = result.truth
    assert found["village-fibre", 2019] < found["village-fibre", 2020]


async def test_a_time_lapse_runs_the_real_pipeline_and_is_scored(
    connection: Connection, database_url: str, mqtt_url: str
) -> None:
    """It starts an ingester where none runs, keeps all samples, and evaluates the month's end."""
    process = start(
        database_url, mqtt_url, "--from", "2020-12-01", "--to", "2020-12-31", "--prefecture",
        "5103", "--share", "0.02", "--progress-json",
    )  # fmt: skip
    out, err = await asyncio.to_thread(process.communicate, timeout=240)
    assert process.returncode == 0, err
    assert all("now" in json.loads(line) for line in out.splitlines())
    counted = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM radio_sample) AS radio,"
        " (SELECT count(*) FROM broadband_sample) AS broadband,"
        " (SELECT count(*) FROM quarantine) AS refused,"
        " (SELECT count(*) FROM rollup_journal) AS waiting"
    )
    assert counted is not None
    assert counted["radio"] > 5_000
    assert counted["broadband"] > 100
    assert (counted["refused"], counted["waiting"]) == (0, 0)
    days = await connection.fetch("SELECT DISTINCT evaluated_at FROM goal_progress")
    assert [row[0] for row in days] == [datetime(2021, 1, 1, tzinfo=UTC)]
    process = start(database_url, mqtt_url, "score", "--json", "--goal", "nbiot-general")
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    scores = json.loads(out)
    assert [(s["goal"], s["day"]) for s in scores] == [("nbiot-general", "2020-12-31")]
    assert process.returncode == (scores[0]["either"] < 0.95), err


@pytest.mark.parametrize("days", [("2020-12-31", "2020-12-01"), ("2020-12-01", "2999-01-01")])
async def test_days_that_are_no_past_time_are_refused(
    database_url: str, mqtt_url: str, days: tuple[str, str]
) -> None:
    """The wrong way round, or in the future: one line that shows a right one."""
    process = start(database_url, mqtt_url, "--from", days[0], "--to", days[1])
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 1
    assert "--from 2018-08-25 --to 2020-12-31" in err
    assert "Traceback" not in err
