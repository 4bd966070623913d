"""Connections to TimescaleDB through asyncpg."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import asyncpg

from shudao.errors import ShudaoError
from shudao.settings import database_url

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
)
"""What a database raises that restarts or cannot be reached: worth another try."""

_REFUSED = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)


def explain_failure(url: str, error: BaseException) -> ShudaoError:
    """Turn a failed connection into one line that says what to do; the password stays out.

    asyncpg names what is wrong by a class, psycopg (under migrations) only in words.
    """
    parts = urlsplit(url)
    where = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
    words = str(error)
    if isinstance(error, asyncpg.InvalidCatalogNameError) or 'database "' in words:
        return ShudaoError(
            f"the database server at {where} has no such database",
            f"create it with `createdb {parts.path.lstrip('/')}`, or correct SHUDAO_DATABASE_URL",
        )
    if isinstance(error, _REFUSED) or "authentication failed" in words:
        return ShudaoError(
            f"the database at {where} refuses the user or password",
            "correct SHUDAO_DATABASE_URL",
        )
    return ShudaoError(
        f"the database at {where} cannot be reached ({error or type(error).__name__})",
        "start one with `shudao local up`, or correct SHUDAO_DATABASE_URL",
    )


async def connect(url: str | None = None) -> asyncpg.Connection[Any]:
    """One connection. Raises `ShudaoError` when the database cannot be reached."""
    url = url or database_url()
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        raise explain_failure(url, error) from error


async def create_pool(url: str | None = None, *, size: int = 4) -> asyncpg.Pool[Any]:
    """A pool of at most ``size`` connections. Raises `ShudaoError` when none can be made."""
    url = url or database_url()
    try:
        return await asyncpg.create_pool(url, min_size=1, max_size=size, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        raise explain_failure(url, error) from error
