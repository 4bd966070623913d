"""Evaluating for ever: a database that goes away is waited for."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from shudao.errors import ShudaoError
from shudao.evaluation import Evaluated, evaluate_for_ever
from shudao.settings import get_settings
from tests.shudao.evaluating import VINTAGE, add_places, make_goal

_CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


async def test_a_cut_connection_is_made_again(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluator's connection is cut twice; evaluations go on."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", empty_database_url)
    get_settings.cache_clear()
    connection = await asyncpg.connect(empty_database_url)
    await add_places(connection)
    reports: asyncio.Queue[list[Evaluated]] = asyncio.Queue()
    task = asyncio.create_task(evaluate_for_ever([make_goal()], VINTAGE, 0.05, reports.put_nowait))
    try:
        for _ in range(2):
            await asyncio.wait_for(reports.get(), 10)
            assert await connection.fetchval(_CUT) >= 1
            while not reports.empty():
                reports.get_nowait()
        [result] = await asyncio.wait_for(reports.get(), 10)
        assert result.unknown == result.denominator == 9
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()
        get_settings.cache_clear()


async def test_without_database_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address is said at once, not retried for ever."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/none")
    get_settings.cache_clear()
    try:
        with pytest.raises(ShudaoError, match=r"127\.0\.0\.1:1/none cannot be reached"):
            await evaluate_for_ever([make_goal()], VINTAGE, 0.05, lambda _: None)
    finally:
        get_settings.cache_clear()
