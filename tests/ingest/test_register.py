"""Unknown devices: refused, or registered on first sight where that is set."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ingest.ingester import Ingester
from shudao.settings import Settings
from tests.ingest.conftest import message, now_ms, radio


async def store(database_url: str, sent: list[Any], carriers: str) -> Any:
    ingester = Ingester(database_url, origin="mqtt", settings=Settings(auto_register=carriers))  # type: ignore[call-arg]
    try:
        return await ingester.store_messages(sent)
    finally:
        await ingester.aclose()


async def test_a_device_of_a_chosen_carrier_is_registered_on_first_sight(
    database_url: str, connection: asyncpg.Connection[Any]
) -> None:
    """Its sample is stored, at no place; a device of another carrier stays unknown."""
    t = now_ms()
    sent = [
        message("new-telecom", radio(t)),
        message("new-telecom", radio(t + 1)),
        message("new-lte", radio(t, technology="lte")),
        message("new-line", {"time": t, "down_mbps": 93.0}, stream="broadband"),
        message("new-mobile", radio(t), carrier="mobile"),
    ]
    receipt = await store(database_url, sent, "telecom,unicom")
    assert receipt.stored == 4
    assert receipt.quarantined == {"unknown_device": 1}
    rows = await connection.fetch(
        "SELECT name, carrier_id, place_id, technology_id, kind, source FROM device ORDER BY name"
    )
    assert [tuple(r) for r in rows] == [
        ("new-line", 1, 0, 10, "probe", "first sight"),
        ("new-lte", 1, 0, 3, "sensor", "first sight"),
        ("new-telecom", 1, 0, 1, "sensor", "first sight"),
    ]


async def test_nobody_is_registered_unless_that_is_set(
    database_url: str, connection: asyncpg.Connection[Any]
) -> None:
    """The default."""
    receipt = await store(database_url, [message("new-telecom", radio(now_ms()))], "")
    assert receipt.quarantined == {"unknown_device": 1}
    assert await connection.fetchval("SELECT count(*) FROM device") == 0


@pytest.mark.parametrize("name", ["x" * 129, "tab\there", "nul\0"])
async def test_what_is_no_name_is_not_registered(
    database_url: str, connection: asyncpg.Connection[Any], name: str
) -> None:
    """Such a device stays unknown, also for a carrier that is set."""
    receipt = await store(database_url, [message(name, radio(now_ms()))], "telecom")
    assert receipt.quarantined == {"unknown_device": 1}
    assert await connection.fetchval("SELECT count(*) FROM device") == 0


async def test_a_device_known_to_another_carrier_is_not_taken_over(
    database_url: str, connection: asyncpg.Connection[Any], devices: dict[str, int]
) -> None:
    """It is not unknown: the carrier of its topic is wrong."""
    receipt = await store(
        database_url, [message("nb-mobile-b", radio(now_ms()), carrier="telecom")], "telecom"
    )
    assert receipt.quarantined == {"wrong_carrier": 1}
