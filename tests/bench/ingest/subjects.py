"""What is fed and measured: the ingester, or something to compare it with. Each is a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.bench.ingest.board import Board
from tests.bench.ingest.processes import Child
from tests.bench.ingest.tables import ledger_stored


@dataclass(frozen=True, slots=True)
class Services:
    """Where the run's own broker and database are."""

    home: Path
    database_url: str
    mqtt_url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes `shudao` use them."""
        return {"SHUDAO_DATABASE_URL": self.database_url, "SHUDAO_MQTT_URL": self.mqtt_url}

    @property
    def board(self) -> Path:
        return self.home / "board"


@dataclass(frozen=True, slots=True)
class Subject:
    """How to start it, and how to know what it has done."""

    name: str
    arguments: list[str]
    settle_s: float
    """Quiet after its first sample, until all its parts have started."""
    stores: bool
    """Whether samples end in the raw table."""
    rolls_up: bool
    """Whether there are a ledger and roll-ups; else it says on the board what it has done."""

    def start(self, services: Services) -> Child:
        return Child(self.name, self.arguments, services.home, services.environment)

    def counter(self, connection: asyncpg.Connection[Any], board: Board) -> Counter:
        """What counts the samples that it has committed (or is done with)."""

        async def by_board() -> int:
            return board.done

        return (lambda: ledger_stored(connection)) if self.rolls_up else by_board


Counter = Callable[[], Awaitable[int]]


def ingester(source: str, workers: int) -> Subject:
    """The real one."""
    options = ["--source", source, "--workers", str(workers), "--metrics-port", "0"]
    return Subject(
        "ingester",
        ["-m", "shudao", "ingest", *options],
        settle_s=0.5 if workers == 1 else 3.0,
        stores=True,
        rolls_up=True,
    )


def baseline(services: Services) -> Subject:
    """The plain way: tests/bench/ingest/baseline.py."""
    module = ["-m", "tests.bench.ingest.baseline", str(services.board)]
    return Subject("baseline", module, settle_s=0.5, stores=True, rolls_up=False)


def receiver(services: Services) -> Subject:
    """The fast source alone: tests/bench/ingest/receiver.py."""
    module = ["-m", "tests.bench.ingest.receiver", str(services.board)]
    return Subject("receiver", module, settle_s=0.5, stores=False, rolls_up=False)
