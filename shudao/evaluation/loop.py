"""Evaluate once, or again and again through failures of the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import date

import structlog

from shudao.database import AWAY, connect
from shudao.errors import ShudaoError
from shudao.evaluation.evaluate import Evaluated, evaluate_all
from shudao.goals import Goal
from shudao.registry.load import require_loaded

log = structlog.get_logger(__name__)


async def evaluate_once(goals: Sequence[Goal], vintage: date) -> list[Evaluated]:
    """Evaluate. Raises `ShudaoError` when the database is away or has no registry."""
    connection = await connect()
    try:
        await require_loaded(connection, [str(vintage)])
        return await evaluate_all(connection, goals, vintage)
    finally:
        await connection.close()


async def evaluate_for_ever(
    goals: Sequence[Goal],
    vintage: date,
    pause_s: float,
    report: Callable[[list[Evaluated]], None],
) -> None:
    """Evaluate, report, pause (at least as long as that took), and again.

    Cancelling rolls the goal in hand back.

    At the start the database must be there with its registry, else this raises `ShudaoError`.
    When it is away later, that is logged, and tried again after the pause.
    """
    connection = await connect()
    try:
        await require_loaded(connection, [str(vintage)])
        while True:
            began = time.monotonic()
            try:
                if connection.is_closed():
                    connection = await connect()
                report(await evaluate_all(connection, goals, vintage))
            except (*AWAY, ShudaoError) as error:
                log.warning("database away, the last numbers stand", error=str(error))
            # Never more than half of the time: the samples need the machine, too.
            await asyncio.sleep(max(pause_s, time.monotonic() - began))
    finally:
        await connection.close()
