"""Failures as problem documents (RFC 9457): what is wrong and what the caller can do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from shudao.errors import ShudaoError

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """A problem document; ``errors`` names each wrong parameter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "unknown goal 'nbiot' → did you mean nbiot-general?",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = Field(None, description="one entry per wrong parameter")


class ProblemError(Exception):
    """Raised by a route: becomes a problem document with this status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI for these statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def respond(
    status: int,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A response that holds a problem document."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every failure of ``app`` into a problem document, and describe it in OpenAPI."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ShudaoError, _not_ready)
    for away in (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        app.add_exception_handler(away, _database)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return respond(error.status, error.detail)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return respond(error.status_code, error.detail, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"parameter": ".".join(map(str, wrong["loc"][1:])), "message": wrong["msg"]}
        for wrong in error.errors()
    ]
    detail = "; ".join(f"{wrong['parameter']}: {wrong['message']}" for wrong in errors)
    return respond(422, detail, errors)


async def _not_ready(_: Request, error: Exception) -> Response:
    return respond(503, str(error))


async def _database(_: Request, error: Exception) -> Response:
    log.warning("database failed", error=str(error), kind=type(error).__name__)
    return respond(503, f"the database cannot answer now: {explain(error)}")


def explain(error: BaseException) -> str:
    """A plain reason for a failure of the database; addresses and passwords stay out."""
    match error:
        case asyncpg.QueryCanceledError():
            return "the query took too long"
        case asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError():
            return "its schema is not current, run `shudao db migrate`"
        case OSError() | asyncpg.PostgresConnectionError() | asyncpg.InterfaceError():
            return "it cannot be reached"
    return type(error).__name__
