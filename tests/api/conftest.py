"""The application on the shared database, and a village with samples that were evaluated."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from shudao.evaluation import evaluate
from shudao.goals import load_goals
from shudao.settings import Settings

VINTAGE = date(2018, 10, 31)
VILLAGE = "513425101200"
"""A village of 2018: its code belongs to 会理县 in Liangshan."""


def settings_for(database_url: str, **changes: Any) -> Settings:
    """Settings with another database."""
    return Settings(database_url=database_url, **changes)  # type: ignore[call-arg]


async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the started app; failures of the app are failures of the test."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        yield client


@pytest.fixture
async def client(
    database_url: str, connection: asyncpg.Connection[Any]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API on the shared database."""
    async for client in client_of(create_app(settings_for(database_url))):
        yield client


@pytest.fixture
async def measured(connection: asyncpg.Connection[Any]) -> AsyncIterator[datetime]:
    """One village with fibre by telecom, evaluated now; the instant of the evaluation."""
    now = datetime.now(UTC)
    place = await connection.fetchval(
        "SELECT place_id FROM place WHERE kind = 'village' AND vintage = $1 AND code = $2",
        VINTAGE, VILLAGE,
    )  # fmt: skip
    hour = now.replace(minute=0, second=0, microsecond=0)
    await connection.executemany(
        "INSERT INTO coverage_hour (hour, place_id, carrier_id, technology_id, down_bins, ipv6_n,"
        " ipv6_yes) VALUES ($1, $2, 1, 10, '{0,0,0,0,2,0,0,0}', 2, 0)",
        [(hour - timedelta(days=days), place) for days in range(3)],
    )
    await connection.execute(
        "INSERT INTO device (device_id, name, carrier_id, place_id, technology_id, kind,"
        " interval_s, source) VALUES (1, 'ftth-1', 1, $1, 10, 'probe', 21600, 'registered'),"
        " (2, 'silent', 255, $1, 3, 'recorded', NULL, 'import')",
        place,
    )
    await connection.execute("INSERT INTO device_seen VALUES (1, $1, $1, 6)", hour)
    await evaluate(connection, load_goals(), VINTAGE, now)
    yield now
    await connection.execute("TRUNCATE goal")


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[tuple[subprocess.Popen[str], int]]:
    """A real ``shudao api`` process that answers, and its port."""
    port = free_port()
    process = start(port, database_url)
    async with httpx.AsyncClient() as client:
        for _ in range(300):
            try:
                await client.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    yield process, port
    process.kill()
    process.communicate()


def start(port: int, database_url: str) -> subprocess.Popen[str]:
    """Start ``shudao api`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from shudao.cli import main; main()", "api", "--port", str(port)],
        env={**os.environ, "SHUDAO_DATABASE_URL": database_url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
