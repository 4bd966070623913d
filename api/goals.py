"""Goals and their progress."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from typing import Annotated

from fastapi import APIRouter, Query

from api.database import Database
from api.models import (
    CarrierName,
    DivisionModel,
    DivisionNumbers,
    GoalList,
    GoalModel,
    GoalProgress,
    Numbers,
)
from api.problems import ProblemError, problems
from api.vintages import DEFAULT, Vintage, vintage_date
from shudao.errors import ShudaoError
from shudao.evaluation.progress import (
    Division,
    children_of,
    find_division,
    latest_progress,
    progress_history,
)
from shudao.goals import Goal, load_goals, load_plan
from shudao.registry.load import Connection

router = APIRouter(prefix="/v1/goals", tags=["goals"])


@router.get("", responses=problems(404, 422, 503), summary="All goals, and where they stand")
async def list_goals(database: Database, vintage: Vintage = DEFAULT) -> GoalList:
    """The goals of the plan with their criteria, and the province's newest progress."""
    day = await vintage_date(database, vintage)
    goals, plan = load_goals(), load_plan()
    found = await latest_progress(database, day, [goal.id for goal in goals], [plan.division])
    return GoalList(
        plan=plan.id,
        vintage=day,
        goals=[GoalModel.of(goal, found.get((goal.id, plan.division))) for goal in goals],
    )


@router.get(
    "/{goal_id}/progress", responses=problems(404, 422, 503), summary="Progress of one goal"
)
async def goal_progress(
    database: Database,
    goal_id: str,
    division: Annotated[
        str,
        Query(
            description="province, prefecture or county: its code, or its name in Chinese",
            examples=["5101"],
        ),
    ] = "51",
    carrier: Annotated[CarrierName, Query(description="covered by whom")] = CarrierName.ANY,
    vintage: Vintage = DEFAULT,
) -> GoalProgress:
    """How many places are covered, uncovered and unknown: here, below, and day by day."""
    goal = _goal(goal_id)
    day = await vintage_date(database, vintage)
    here = await _division(database, day, division)
    below = await children_of(database, day, here)
    codes = [here.code, *(child.code for child in below)]
    found = await latest_progress(database, day, [goal.id], codes, carrier.id)
    history = await progress_history(database, day, goal.id, here.code, carrier.id)
    return GoalProgress(
        goal=goal.id,
        title_zh=goal.title_zh,
        title_en=goal.title_en,
        target=goal.target,
        deadline=goal.deadline,
        vintage=day,
        carrier=carrier,
        division=DivisionModel.model_validate(here),
        numbers=Numbers.of(found.get((goal.id, here.code))),
        children=[
            DivisionNumbers(
                division=DivisionModel.model_validate(child),
                numbers=Numbers.of(found.get((goal.id, child.code))),
            )
            for child in below
        ],
        history=[Numbers.model_validate(progress) for progress in history],
    )


def _goal(goal_id: str) -> Goal:
    known = {goal.id: goal for goal in load_goals()}
    if goal_id in known:
        return known[goal_id]
    near = get_close_matches(goal_id, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise ProblemError(404, f"unknown goal '{goal_id}' → {hint}")


async def _division(database: Connection, day: date, asked: str) -> Division:
    try:
        return await find_division(database, day, asked)
    except ShudaoError as error:
        raise ProblemError(404, str(error)) from error
