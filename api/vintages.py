"""The registry vintage that a request counts in."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Query

from api.problems import ProblemError
from shudao.errors import ShudaoError
from shudao.registry.load import Connection, require_loaded
from shudao.registry.tree import VINTAGES, check_vintage
from shudao.settings import get_settings

Vintage = Annotated[
    str | None,
    Query(description=f"registry vintage: {' or '.join(VINTAGES)}", examples=[VINTAGES[0]]),
]
DEFAULT = None
"""The vintage of the settings."""


async def vintage_date(database: Connection, asked: str | None) -> date:
    """The vintage as a date: 404 when there is none such, `ShudaoError` when it is not loaded."""
    try:
        vintage = check_vintage(asked or get_settings().vintage)
    except ShudaoError as error:
        raise ProblemError(404, str(error)) from error
    await require_loaded(database, [vintage])
    return date.fromisoformat(vintage)
