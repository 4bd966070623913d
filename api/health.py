"""Whether the service can answer, and its metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import asyncpg
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.database import CONNECT_TIMEOUT_S, pool_of
from api.models import Health
from api.problems import ProblemError, explain, problems
from shudao.database.migrate import SCRIPTS

router = APIRouter(tags=["operation"])

_NEWEST_COMMIT = "SELECT max(minute) FROM ingest_minute WHERE stored > 0"


@cache
def newest_revision() -> str | None:
    """The schema that this program knows."""
    return ScriptDirectory(str(SCRIPTS)).get_current_head()


@router.get("/healthz", responses=problems(503), summary="Whether all is well")
async def healthz(request: Request) -> Health:
    """200 when the database answers and its schema is current; 503 with the reason when not."""
    try:
        async with pool_of(request.app).acquire(timeout=CONNECT_TIMEOUT_S) as database:
            revision = await database.fetchval("SELECT version_num FROM alembic_version")
            newest = await database.fetchval(_NEWEST_COMMIT)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ProblemError(503, f"the database cannot answer: {explain(error)}") from error
    if revision != newest_revision():
        raise ProblemError(
            503,
            f"the schema is {revision}, this program needs {newest_revision()}"
            " → run `shudao db migrate`, or install the newer Shudao",
        )
    age = None if newest is None else (datetime.now(UTC) - newest).total_seconds()
    return Health(
        status="ok", schema_revision=revision, newest_commit=newest, newest_commit_age_s=age
    )


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
async def metrics() -> Response:
    """Requests by route and status, and the process itself."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
