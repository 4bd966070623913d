"""Goals and their progress over HTTP, against the real registry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from api.models import GoalList, GoalProgress
from shudao.goals import load_goals


async def test_goals_are_those_of_the_file(client: httpx.AsyncClient, measured: datetime) -> None:
    """Every goal with its clause, criteria and reasons, and the province's numbers."""
    answer = GoalList.model_validate_json((await client.get("/v1/goals")).content, strict=False)
    assert [goal.id for goal in answer.goals] == [goal.id for goal in load_goals()]
    fibre = next(goal for goal in answer.goals if goal.id == "village-fibre")
    assert fibre.criteria.down_mbps == 12
    assert fibre.progress is not None
    assert (fibre.progress.covered, fibre.progress.denominator) == (1, 45_909)
    assert fibre.progress.share_of_measured == 1


async def test_goals_without_evaluation_have_no_numbers(client: httpx.AsyncClient) -> None:
    """Before the first evaluation progress is null, not zero."""
    goals = (await client.get("/v1/goals")).json()["goals"]
    assert [goal["progress"] for goal in goals] == [None] * len(load_goals())


async def _progress(client: httpx.AsyncClient, **query: str) -> GoalProgress:
    response = await client.get("/v1/goals/village-fibre/progress", params=query)
    assert response.status_code == 200, response.text
    return GoalProgress.model_validate_json(response.content)


async def test_progress_has_children_that_add_up(
    client: httpx.AsyncClient, measured: datetime
) -> None:
    """The province's 21 prefectures add up to its numbers."""
    answer = await _progress(client)
    assert len(answer.children) == 21
    assert answer.numbers is not None
    below = [child.numbers for child in answer.children if child.numbers]
    for name in ("covered", "uncovered", "unknown", "denominator"):
        assert sum(getattr(n, name) for n in below) == getattr(answer.numbers, name)


async def test_progress_by_name_and_carrier(client: httpx.AsyncClient, measured: datetime) -> None:
    """A prefecture may be named; each carrier has its own numbers."""
    telecom = await _progress(client, division="凉山", carrier="telecom")
    mobile = await _progress(client, division="5134", carrier="mobile")
    assert (telecom.division.code, telecom.division.level) == ("5134", "prefecture")
    assert telecom.numbers is not None
    assert mobile.numbers is not None
    assert (telecom.numbers.covered, mobile.numbers.covered) == (1, 0)
    assert telecom.numbers.unknown == mobile.numbers.unknown - 1


async def test_a_county_has_no_children(client: httpx.AsyncClient, measured: datetime) -> None:
    """Progress is kept down to counties."""
    answer = await _progress(client, division="513425")
    assert answer.children == []
    assert answer.numbers is not None
    assert answer.numbers.covered == 1


async def test_progress_has_its_history(
    client: httpx.AsyncClient, measured: datetime, connection: asyncpg.Connection[Any]
) -> None:
    """Numbers of earlier days, oldest first."""
    await connection.execute(
        "INSERT INTO goal_progress SELECT goal, vintage, division, carrier_id, day - 1, criteria,"
        " 0, 0, denominator, denominator, evaluated_at - INTERVAL '1 day' FROM goal_progress"
    )
    history = (await _progress(client)).history
    assert [numbers.covered for numbers in history] == [0, 1]
    assert history[0].day < history[1].day


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/goals/village-fiber/progress", 404, "did you mean village-fibre?"),
        ("/v1/goals/x/progress", 404, "known: nbiot-general"),
        ("/v1/goals/ipv6/progress?division=成者市", 404, "did you mean 成都市 (5101)?"),
        ("/v1/goals/ipv6/progress?division=510104020007", 404, "ask for its county 510104"),
        ("/v1/goals/ipv6/progress?carrier=vodafone", 422, "carrier: Input should be 'any'"),
        ("/v1/goals/ipv6/progress?vintage=1999-01-01", 404, "1999-01-01"),
        ("/v1/goals?vintage=soon", 404, "soon"),
        ("/v2/goals", 404, "Not Found"),
    ],
)
async def test_wrong_requests_get_a_problem_document(
    client: httpx.AsyncClient, path: str, status: int, says: str
) -> None:
    """RFC 9457: the status, and a detail that the caller can act on."""
    response = await client.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert says in response.json()["detail"]


async def test_another_vintage_counts_its_own_villages(
    client: httpx.AsyncClient, connection: asyncpg.Connection[Any]
) -> None:
    """The villages of 2023 are evaluated and answered apart."""
    from datetime import date

    from shudao.evaluation import evaluate

    goals = [goal for goal in load_goals() if goal.id == "village-fibre"]
    await evaluate(connection, goals, date(2023, 6, 30))
    answer = await _progress(client, vintage="2023-06-30")
    assert answer.numbers is not None
    assert (answer.numbers.unknown, answer.numbers.denominator) == (25_966, 25_966)
    assert (await _progress(client)).numbers is None
