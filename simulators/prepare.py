"""From the registry in the database to a world, and to who reports in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from shudao.errors import ShudaoError
from shudao.vocabulary import Carrier
from simulators.devices import Population, population
from simulators.key_places import register_key_places
from simulators.places import check_registry, read_places
from simulators.world import World, build_world


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of the population reports; see `simulators.devices.population`."""

    share: float = 1.0
    devices: int | None = None
    carriers: tuple[Carrier, ...] = tuple(Carrier)
    prefectures: tuple[int, ...] = ()


async def read_world(connection: asyncpg.Connection[Any], vintage: str, seed: int) -> World:
    """The world of a seed over a vintage, whose stations, sites and areas are registered.

    Raises `ShudaoError` when the registry is not loaded.
    """
    await check_registry(connection, vintage)
    await register_key_places(connection, vintage)
    return build_world(await read_places(connection, vintage), seed)


async def prepare(
    connection: asyncpg.Connection[Any], vintage: str, seed: int, choice: Choice
) -> tuple[World, Population]:
    """A world, and who is to report in it.

    Raises `ShudaoError` when the registry is not loaded, or when nothing is chosen.
    """
    world = await read_world(connection, vintage, seed)
    reporters = population(
        world,
        share=choice.share,
        devices=choice.devices,
        carriers=choice.carriers,
        prefectures=choice.prefectures,
    )
    if not len(reporters):
        raise ShudaoError(
            "no device is left by these filters",
            "name a prefecture by its four digits, such as 5101; `shudao registry show 51`",
        )
    return world, reporters
