"""The service itself: health, documentation without a network, start and stop."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.app import create_app
from shudao.errors import ShudaoError
from tests.api.conftest import client_of, free_port, settings_for, start


async def test_health_tells_the_newest_commit(
    client: httpx.AsyncClient, connection: asyncpg.Connection[Any]
) -> None:
    """200 with the schema's revision, and the age of what was stored last."""
    idle = (await client.get("/healthz")).json()
    assert (idle["status"], idle["newest_commit"]) == ("ok", None)

    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    await connection.execute(
        "INSERT INTO ingest_minute VALUES ($1, 1, 'radio', 'mqtt', 3, 2, 1, 0, 5, 5)", minute
    )
    busy = (await client.get("/healthz")).json()
    assert datetime.fromisoformat(busy["newest_commit"]) == minute
    assert 0 <= busy["newest_commit_age_s"] < 70


async def _get(app: Any, path: str) -> httpx.Response:
    async for client in client_of(app):
        return await client.get(path)
    raise AssertionError


async def test_health_without_schema_says_what_to_run(bare_database_url: str) -> None:
    """503, and the command that mends it."""
    response = await _get(create_app(settings_for(bare_database_url)), "/healthz")
    assert response.status_code == 503
    assert "run `shudao db migrate`" in response.json()["detail"]


async def test_health_with_an_old_schema_says_what_to_run(empty_database_url: str) -> None:
    """503 when migrations are pending."""
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '0000'")
    await connection.close()
    response = await _get(create_app(settings_for(empty_database_url)), "/healthz")
    assert response.status_code == 503
    assert response.json()["detail"].startswith("the schema is 0000")


@pytest.mark.parametrize("path", ["/healthz", "/v1/goals", "/v1/villages/510104020007"])
async def test_without_database_every_answer_is_503(path: str) -> None:
    """The service is up and says that its database is away, without address or password."""
    url = f"postgresql://user:secret@127.0.0.1:{free_port()}/shudao"
    response = await _get(create_app(settings_for(url)), path)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "it cannot be reached" in response.json()["detail"]
    assert "secret" not in response.text


async def test_without_registry_the_answer_says_what_to_run(empty_database_url: str) -> None:
    """503 until the registry is loaded."""
    response = await _get(create_app(settings_for(empty_database_url)), "/v1/goals")
    assert (response.status_code, "shudao registry load" in response.text) == (503, True)


async def test_slow_queries_are_cut(client: httpx.AsyncClient, database_url: str) -> None:
    """Every connection of the API has a statement timeout."""
    app = create_app(settings_for(database_url))
    async with app.router.lifespan_context(app), app.state.pool.acquire() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "5s"


async def test_documentation_needs_no_network(client: httpx.AsyncClient) -> None:
    """All scripts, styles and pictures of /docs come from the service itself."""
    page = (await client.get("/docs")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/")
        assert (await client.get(address)).status_code == 200


async def test_every_route_documents_its_problems(client: httpx.AsyncClient) -> None:
    """OpenAPI names the problem documents of each route, and its schema is there."""
    document = (await client.get("/openapi.json")).json()
    assert "Problem" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        if path == "/metrics":
            continue
        responses = operations["get"]["responses"]
        assert "application/problem+json" in responses["503"]["content"], path
        if "422" in responses:
            assert "application/problem+json" in responses["422"]["content"], path


async def test_requests_are_counted(client: httpx.AsyncClient) -> None:
    """Metrics by route, not by address."""
    await client.get("/v1/villages/510104020007")
    metrics = (await client.get("/metrics")).text
    assert 'route="/v1/villages/{code}",status="200"' in metrics


def test_a_wrong_goals_file_is_refused_atstart(database_url: str, tmp_path: Path) -> None:
    """The line is named before anything listens."""
    file = tmp_path / "goals.toml"
    file.write_text("[plan]\nid = 1\n", encoding="utf-8")
    with pytest.raises(ShudaoError, match=r"goals\.toml, line 2: id = 1"):
        create_app(settings_for(database_url, goals_file=file))


async def test_service_answers_and_stops_on_sigterm(
    served: tuple[subprocess.Popen[str], int],
) -> None:
    """A real server over a real socket; one SIGTERM ends it with exit code 0."""
    process, port = served
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/v1/goals")
    assert (response.status_code, len(response.headers["x-request-id"])) == (200, 32)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - started < 10
    log = output + errors
    assert "path=/v1/goals" in log
    assert "stopped" in log
    assert "Traceback" not in log


async def test_a_port_in_use_is_one_clear_line(
    served: tuple[subprocess.Popen[str], int], database_url: str
) -> None:
    """No traceback; the line names the port and what to do."""
    second = start(served[1], database_url)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert errors.splitlines() == [
        f"shudao: port {served[1]} on 127.0.0.1 is in use"
        f" → stop what listens there, or choose another: --port {served[1] + 1}"
    ]


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_there_is_not_is_refused(database_url: str, port: int) -> None:
    """Not taken modulo 65,536."""
    with start(port, database_url) as process:
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 2
    assert "--port" in errors


def test_a_missing_database_is_one_clear_line() -> None:
    """The API does not start without its database."""
    process = start(free_port(), f"postgresql://u:secret@127.0.0.1:{free_port()}/shudao")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert "cannot be reached" in errors
    assert "secret" not in errors


async def test_openapi_examples_fit_their_schemas(client: httpx.AsyncClient) -> None:
    """Examples in the documentation are valid."""
    import jsonschema

    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    examples = 0
    for schema in schemas.values():
        for example in schema.get("examples", []):
            jsonschema.validate(example, {**schema, "components": {"schemas": schemas}})
            examples += 1
    assert examples >= 3, json.dumps(sorted(schemas))
