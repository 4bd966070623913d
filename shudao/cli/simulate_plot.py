"""``shudao simulate plot``: the simulated world beside real recordings, as a picture."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulators.compare import Distance
    from simulators.world import World


def plot(
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture.")] = Path(
        "shudao-world.png"
    ),
    seed: Annotated[
        int, typer.Option(help="Of the world: the same seed is the same world.")
    ] = 2018,
    as_json: Annotated[bool, typer.Option("--json", help="Print the distances as JSON.")] = False,
) -> None:
    """Draw what the simulated world measures beside what real networks did, with the distances.

    RSRP, SINR and round trips of NB-IoT, 4G and 5G; download, round trip and jitter of fibre. A
    distance is the mean absolute difference of percentiles, in the quantity's unit. The recordings
    are of other places: the picture says which differences are meant.

    Example: shudao simulate plot --out world.png
    """
    import msgspec

    from simulators.compare import compare, distances
    from simulators.plot import draw

    rows = compare(asyncio.run(_world(seed)))
    draw(rows, out, seed)
    found = distances(rows)
    if as_json:
        told = {"picture": str(out), "seed": seed, "distances": found}
        print(msgspec.json.encode(told).decode())
    else:
        _print_table(found, out)


async def _world(seed: int) -> World:
    from shudao.database.connect import connect
    from shudao.settings import get_settings
    from simulators.prepare import read_world

    connection = await connect()
    try:
        return await read_world(connection, get_settings().vintage, seed)
    finally:
        await connection.close()


def _print_table(found: list[Distance], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("technology", "quantity", "simulated", "recorded", "distance", box=None)
    for d in found:
        distance = f"{d.distance:,.3g} {d.unit}"
        table.add_row(d.technology, d.field, d.simulated, d.recorded, distance)
    Console().print(table)
    print(f"The picture is {out}")
