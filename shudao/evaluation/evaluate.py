"""Evaluate goals: roll-ups → states of places → progress of divisions, inside the database.

Each goal is one transaction under an advisory lock, so evaluators may run at once and a reader
sees either the old numbers or the new ones, never a mixture.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from shudao.evaluation.store import (
    FORGET_GOALS,
    STORE_GOAL,
    forget_progress_sql,
    store_progress_sql,
    store_states_sql,
)
from shudao.goals import Goal
from shudao.registry.load import Connection
from shudao.vocabulary import ANY_CARRIER

PLANNER = """
SET LOCAL enable_nestloop = off;
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB'
"""
"""For a transaction. Whole-province sets are hashed in memory: the planner guesses them far too
small, and would join them by nested loops, in minutes. Compiling takes longer than it saves."""

LOCK = "SELECT pg_advisory_xact_lock(hashtext('shudao evaluate'), hashtext($1))"
"""Held for a goal until its transaction ends."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation of one goal found: the whole province, any carrier."""

    goal: str
    covered: int
    uncovered: int
    unknown: int
    denominator: int
    changed: int
    """Place states that were written because something in them changed."""
    seconds: float


async def evaluate(
    connection: Connection, goals: Sequence[Goal], vintage: date, now: datetime | None = None
) -> list[Evaluated]:
    """Bring states and today's progress of ``goals`` up to ``now`` (default: this instant)."""
    moment = now or datetime.now(UTC)
    return [await _evaluate_goal(connection, goal, vintage, moment) for goal in goals]


async def evaluate_all(
    connection: Connection, goals: Sequence[Goal], vintage: date, now: datetime | None = None
) -> list[Evaluated]:
    """`evaluate` a whole goals file: goals that are no longer in it are shown no longer."""
    results = await evaluate(connection, goals, vintage, now)
    await connection.execute(FORGET_GOALS, [goal.id for goal in goals])
    return results


async def _evaluate_goal(
    connection: Connection, goal: Goal, vintage: date, now: datetime
) -> Evaluated:
    started = time.perf_counter()
    async with connection.transaction():
        await connection.execute(PLANNER)
        await connection.execute(LOCK, goal.id)
        await connection.execute(STORE_GOAL, *_shown(goal))
        changed = await connection.fetchval(store_states_sql(goal, vintage, now))
        progress = await connection.fetch(store_progress_sql(goal, vintage, now))
        await connection.execute(forget_progress_sql(goal, vintage, now))
    whole = [r for r in progress if len(r["division"]) == 2 and r["carrier_id"] == ANY_CARRIER]
    names = ("covered", "uncovered", "unknown", "denominator")
    totals = {name: sum(row[name] for row in whole) for name in names}
    return Evaluated(goal=goal.id, **totals, changed=changed, seconds=time.perf_counter() - started)


def _shown(goal: Goal) -> tuple[Any, ...]:
    titles = (goal.clause, goal.title_zh, goal.title_en)
    return (goal.id, *titles, goal.target, goal.deadline, goal.criteria.version)
