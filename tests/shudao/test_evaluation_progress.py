"""Progress of divisions: it adds up, counts every place of the goal, and keeps each day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shudao.evaluation import evaluate
from shudao.evaluation.evaluate import LOCK, evaluate_all
from shudao.evaluation.progress import latest_progress, progress_history
from tests.shudao.evaluating import (
    COUNTIES,
    NOW,
    VINTAGE,
    Sample,
    add_place,
    add_places,
    add_samples,
    make_goal,
    states,
)

PLACES = sum(COUNTIES.values())
GOAL = make_goal(min_samples=1, min_days=1)
COVERED, UNCOVERED = {"rsrp": -90.0, "sinr": 5.0}, {"rsrp": -120.0, "sinr": -9.0}
ALL = ["51", "5101", "5107", "510104", "510105", "510703"]


@pytest.fixture
async def small(empty_database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A database with nine villages and no samples."""
    connection = await asyncpg.connect(empty_database_url)
    await add_places(connection)
    yield connection
    await connection.close()


async def _counts(connection: asyncpg.Connection[Any], carrier: int = 0) -> dict[str, Any]:
    found = await latest_progress(connection, VINTAGE, [GOAL.id], ALL, carrier)
    return {
        division: (p.covered, p.uncovered, p.unknown, p.denominator)
        for (_, division), p in found.items()
    }


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.dictionaries(
        st.tuples(st.integers(1, PLACES), st.integers(1, 4)), st.booleans(), min_size=1
    )
)
async def test_divisions_add_up(
    small: asyncpg.Connection[Any], chosen: dict[tuple[int, int], bool]
) -> None:
    """Province = Σ prefectures = Σ counties, for each carrier, and as the states say."""
    await add_samples(
        small,
        (
            Sample(1, place=place, carrier=carrier, **(COVERED if good else UNCOVERED))
            for (place, carrier), good in chosen.items()
        ),
    )
    await evaluate(small, [GOAL], VINTAGE, NOW)

    for carrier in range(5):
        found = await _counts(small, carrier)
        assert found["51"] == _added(found, "5101", "5107")
        assert found["5101"] == _added(found, "510104", "510105")
        assert found["5107"] == found["510703"]
        known = [s for (_, c), s in (await states(small)).items() if c == carrier]
        covered, uncovered = known.count("covered"), known.count("uncovered")
        assert found["51"] == (covered, uncovered, PLACES - covered - uncovered, PLACES)


def _added(found: dict[str, Any], *divisions: str) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*(found[d] for d in divisions), strict=True))


async def test_places_never_measured_are_unknown(small: asyncpg.Connection[Any]) -> None:
    """Without any sample the denominator stands, and all of it is unknown."""
    await evaluate(small, [GOAL], VINTAGE, NOW)
    assert (await _counts(small))["510104"] == (0, 0, 4, 4)


async def test_only_the_goals_places_count(small: asyncpg.Connection[Any]) -> None:
    """Communities, stations and another vintage's villages are not administrative villages."""
    await add_place(small, 100, 510104, kind="station", subkind=None)
    await add_place(small, 101, 510104, vintage=date(2023, 6, 30))
    measured = (1, 4, 100, 101)  # a village, a community, a station, a village of 2023
    await add_samples(small, (Sample(1, place=place, **COVERED) for place in measured))
    goal = make_goal(min_samples=1, min_days=1, subkinds=["village"])

    await evaluate(small, [goal], VINTAGE, NOW)

    assert (await _counts(small))["510104"] == (1, 0, 2, 3)
    assert await states(small) == {(1, 1): "covered", (1, 0): "covered"}


async def test_the_last_evaluation_of_each_day_stays(small: asyncpg.Connection[Any]) -> None:
    """Today's numbers are replaced by each evaluation, those of other days are history."""
    for hours, place in ((0, 1), (1, 2), (24, 3)):
        await add_samples(small, [Sample(0, place=n, **COVERED) for n in range(1, place + 1)])
        await evaluate(small, [GOAL], VINTAGE, NOW + timedelta(hours=hours))

    history = await progress_history(small, VINTAGE, GOAL.id, "51", 0)
    assert [(p.day, p.covered) for p in history] == [
        (NOW.date(), 2),
        (NOW.date() + timedelta(days=1), 3),
    ]


async def test_divisions_without_places_disappear(small: asyncpg.Connection[Any]) -> None:
    """When a county loses its last place of the goal, today's row of it goes too."""
    await evaluate(small, [GOAL], VINTAGE, NOW)
    await small.execute("DELETE FROM place WHERE county = 510703")

    await evaluate(small, [GOAL], VINTAGE, NOW + timedelta(minutes=1))

    assert set(await _counts(small)) == {"51", "5101", "510104", "510105"}


async def test_evaluators_at_once_agree(
    small: asyncpg.Connection[Any], empty_database_url: str
) -> None:
    """Four evaluators of two goals at the same time end with the numbers of one."""
    await add_samples(small, (Sample(1, place=place, **COVERED) for place in (1, 2, 5)))
    goals = [GOAL, make_goal(goal_id="other", min_samples=1, min_days=1)]
    others = [await asyncpg.connect(empty_database_url) for _ in range(4)]
    try:
        await asyncio.gather(
            *(
                evaluate(other, goals if n % 2 else goals[::-1], VINTAGE, NOW)
                for n, other in enumerate(others)
            )
        )
    finally:
        for other in others:
            await other.close()

    assert (await _counts(small))["51"] == (3, 0, PLACES - 3, PLACES)
    assert await states(small, "other") == await states(small)


async def test_one_evaluator_waits_for_another(
    small: asyncpg.Connection[Any], empty_database_url: str
) -> None:
    """While a goal is evaluated elsewhere nothing of it is written; afterwards it is."""
    other = await asyncpg.connect(empty_database_url)
    held = other.transaction()
    await held.start()
    await other.execute(LOCK, GOAL.id)
    waiting = asyncio.create_task(evaluate(small, [GOAL], VINTAGE, NOW))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert await other.fetchval("SELECT count(*) FROM goal_progress") == 0

    await held.rollback()
    await other.close()

    [result] = await waiting
    assert result.denominator == PLACES


async def test_dashboards_show_the_goals_of_the_file(small: asyncpg.Connection[Any]) -> None:
    """Each goal's title is stored; one that left the file is shown no longer."""
    await evaluate_all(small, [GOAL, make_goal(goal_id="former")], VINTAGE, NOW)
    await evaluate_all(small, [make_goal(version="2")], VINTAGE, NOW)
    assert await small.fetch("SELECT goal, title_zh, criteria FROM goal") == [
        ("test-goal", "测试", "2")
    ]
