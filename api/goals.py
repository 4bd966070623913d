"""Goals and their progress."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from typing import Annotated

from fastapi import APIRouter, Query, Request

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
from api.requests import Database, Goals, Vintage
from shudao.errors import ShudaoError
from shudao.evaluation.progress import (
    Division,
    children_of,
    find_division,
    latest_progress,
    progress_history,
)
from shudao.goals import Goal, Plan
from shudao.registry.load import Connection

router = APIRouter(prefix="/v1/goals", tags=["goals"])


@router.get("", responses=problems(404, 422, 503), summary="All goals, and where they stand")
async def list_goals(
    request: Request, database: Database, goals: Goals, vintage: Vintage
) -> GoalList:
    """The goals of the plan with their criteria, and the province's newest progress."""
    plan: Plan = request.app.state.plan
    found = await latest_progress(database, vintage, [goal.id for goal in goals], [plan.division])
    return GoalList(
        plan=plan.id,
        vintage=vintage,
        goals=[GoalModel.of(goal, found.get((goal.id, plan.division))) for goal in goals],
    )


@router.get(
    "/{goal_id}/progress", responses=problems(404, 422, 503), summary="Progress of one goal"
)
async def goal_progress(
    database: Database,
    goals: Goals,
    vintage: Vintage,
    goal_id: str,
    division: Annotated[
        str,
        Query(
            min_length=1,
            max_length=40,
            pattern=r"^[^\x00-\x1f]+$",
            description="province, prefecture or county: its code, or its name in Chinese",
            examples=["5101"],
        ),
    ] = "51",
    carrier: Annotated[CarrierName, Query(description="covered by whom")] = CarrierName.ANY,
) -> GoalProgress:
    """How many places are covered, uncovered and unknown: here, below, and day by day."""
    goal = _goal(goals, goal_id)
    here = await _division(database, vintage, division)
    below = await children_of(database, vintage, here)
    codes = [here.code, *(child.code for child in below)]
    found = await latest_progress(database, vintage, [goal.id], codes, carrier.id)
    history = await progress_history(database, vintage, goal.id, here.code, carrier.id)
    return GoalProgress(
        goal=goal.id,
        title_zh=goal.title_zh,
        title_en=goal.title_en,
        target=goal.target,
        deadline=goal.deadline,
        vintage=vintage,
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


def _goal(goals: tuple[Goal, ...], goal_id: str) -> Goal:
    known = {goal.id: goal for goal in goals}
    if goal_id in known:
        return known[goal_id]
    near = get_close_matches(goal_id, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise ProblemError(404, f"unknown goal '{goal_id}' → {hint}")


async def _division(database: Connection, vintage: date, asked: str) -> Division:
    try:
        return await find_division(database, vintage, asked)
    except ShudaoError as error:
        raise ProblemError(404, str(error)) from error
