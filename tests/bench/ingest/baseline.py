"""The plain way to get MQTT into PostgreSQL, to compare with; run as a process.

aiomqtt acknowledges by itself, `json.loads` takes each message apart, and what arrived in 200 ms
is one executemany INSERT into the raw table. No check, no roll-ups, no duplicates, no second try:
what it had in memory when it is killed is lost.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import asyncpg

from shudao.settings import database_url, mqtt_url
from tests.bench.ingest.board import Board

_EVERY_S = 0.2
_FIELDS = ("rsrp_dbm", "rsrq_db", "sinr_db", "ecl", "pci", "earfcn", "cell_id")
_KEYS = ("time", "device_id", "place_id", "carrier_id", "technology_id")
_COLUMNS = (*_KEYS, *_FIELDS)
_INSERT = (
    f"INSERT INTO radio_sample ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f'${i + 1}' for i in range(len(_COLUMNS)))})"
)
Row = tuple[Any, ...]


async def main() -> None:
    """Insert for ever."""
    board = Board(Path(sys.argv[1]))
    connection = await asyncpg.connect(database_url())
    devices: dict[str, Row] = {
        r["name"]: tuple(r)[1:]
        for r in await connection.fetch(
            "SELECT name, device_id, place_id, carrier_id, technology_id FROM device"
        )
    }
    arrived: list[Row] = []
    where = urlsplit(mqtt_url())
    async with aiomqtt.Client(str(where.hostname), where.port or 1883) as client:
        await client.subscribe("shudao/v1/#", qos=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_insert(connection, arrived, board))
            async for message in client.messages:
                arrived += _rows(message, devices)


async def _insert(connection: asyncpg.Connection[Any], arrived: list[Row], board: Board) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        rows, arrived[:] = arrived[:], []
        await connection.executemany(_INSERT, rows)
        board.done += len(rows)


def _rows(message: aiomqtt.Message, devices: dict[str, Row]) -> list[Row]:
    topic = str(message.topic).split("/")
    decoded = json.loads(message.payload)  # type: ignore[arg-type]
    samples = decoded if isinstance(decoded, list) else [{**decoded, "device": topic[4]}]
    return [
        (
            datetime.fromtimestamp(s["time"] / 1000, UTC),
            *devices[s["device"]],
            *(s.get(f) for f in _FIELDS),
        )
        for s in samples
    ]


if __name__ == "__main__":
    asyncio.run(main())
