"""The pool of connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI

from shudao.settings import Settings, database_url

POOL_SIZE = 8
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 5


@asynccontextmanager
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool[Any]]:
    """At most `POOL_SIZE` connections, made when first needed, so the API can start (and say
    that the database is away) without one.
    """
    async with asyncpg.create_pool(
        database_url(settings),
        min_size=0,
        max_size=POOL_SIZE,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S + 1,
        server_settings={
            "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
            "application_name": "shudao api",
        },
    ) as made:
        yield made


def pool_of(app: FastAPI) -> asyncpg.Pool[Any]:
    """The pool that the app's lifespan made."""
    made: asyncpg.Pool[Any] = app.state.pool
    return made
