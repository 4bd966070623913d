"""What requests have in common: a connection, the goals, the vintage that is counted in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Request

from api.database import CONNECT_TIMEOUT_S, pool_of
from api.problems import ProblemError
from shudao.errors import ShudaoError
from shudao.goals import Goal
from shudao.registry.load import Connection, require_loaded
from shudao.registry.tree import VINTAGES, check_vintage


async def _connection(request: Request) -> AsyncIterator[Connection]:
    async with pool_of(request.app).acquire(timeout=CONNECT_TIMEOUT_S) as connection:
        yield connection


Database = Annotated[Connection, Depends(_connection)]
"""A connection, given back when the response is made."""


async def _goals(request: Request) -> tuple[Goal, ...]:
    goals: tuple[Goal, ...] = request.app.state.goals
    return goals


Goals = Annotated[tuple[Goal, ...], Depends(_goals)]
"""The goals that the app was made with."""


async def _vintage(
    request: Request,
    database: Database,
    vintage: Annotated[
        str | None,
        Query(description=f"registry vintage: {' or '.join(VINTAGES)}", examples=[VINTAGES[0]]),
    ] = None,
) -> date:
    try:
        chosen = check_vintage(vintage or request.app.state.settings.vintage)
    except ShudaoError as error:
        raise ProblemError(404, str(error)) from error
    await require_loaded(database, [chosen])
    return date.fromisoformat(chosen)


Vintage = Annotated[date, Depends(_vintage)]
"""The vintage asked for, or the settings'; 404 for an unknown one, 503 for one not loaded."""
