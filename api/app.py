"""The application: routes, the pool's life, failures as problem documents, docs without a CDN."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import database, goals, health, problems, villages
from api.access import Access
from shudao.goals import load_goals, load_plan
from shudao.settings import Settings, get_settings

DESCRIPTION = """
How far each goal of the plan is, in each division of Sichuan, by carrier: covered, uncovered and
unknown places, of how many, with the evidence of each village. Percentages are fractions of all
places of the registry vintage that is named; unknown ones count as neither.

蜀道:各项目标在各行政区划、各运营商的进展:已覆盖、未覆盖、未知,及每个村的依据。
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API over the database and goals that ``settings`` name (the process's by default).

    Raises `ShudaoError` for a wrong goals file, and at start-up when no database is set.
    """
    chosen = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with database.pool(chosen) as app.state.pool:
            yield

    app = FastAPIOffline(
        title="Shudao 蜀道", version=version("shudao"), description=DESCRIPTION, lifespan=lifespan
    )
    app.state.settings = chosen
    app.state.goals = load_goals(chosen.goals_file)
    app.state.plan = load_plan(chosen.goals_file)
    for module in (goals, villages, health):
        app.include_router(module.router)
    problems.install(app)
    app.add_middleware(Access)
    return app
