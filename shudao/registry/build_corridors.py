"""Rebuild the corridors' lines from the PyPI package that they come from.

    pip install routrs==1.1.0
    python -m shudao.registry.build_corridors            # writes data/corridors.json
    python -m shudao.registry.build_corridors --check    # compares only; exit code 1 if it differs

A line is a chain of shortest paths on that package's world highway graph, between the towns and
junctions that `CORRIDORS` names: coordinates that we chose, so that the path keeps to the corridor.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from shudao.registry.corridors import Corridor, read_corridors

FILE = Path(__file__).with_name("data") / "corridors.json"
DECIMALS = 3
Point = tuple[float, float]


class Route(NamedTuple):
    """A corridor, and the ``(lon, lat)`` that its line is led through."""

    corridor: str
    name_zh: str
    name_en: str
    via: tuple[Point, ...]


# fmt: off
CORRIDORS = (
    Route(
        "G5", "京昆高速",
        "G5 expressway: Guangyuan - Mianyang - Chengdu - Ya'an - Xichang - Panzhihua",
        (
            (105.84, 32.44), (104.68, 31.47), (104.4, 31.13), (103.01, 29.98), (102.85, 29.79),
            (102.65, 29.35), (102.36, 29.23), (102.17, 28.55), (102.26, 27.89), (102.18, 27.4),
            (101.72, 26.58),
        ),
    ),
    Route(
        "G42", "沪蓉高速",
        "G42 expressway: Chengdu - Suining - Nanchong - Guang'an",
        (
            (104.07, 30.66), (105.59, 30.53), (106.11, 30.84), (106.63, 30.46),
        ),
    ),
    Route(
        "G85/G76", "成渝环线—厦蓉高速",
        "G85/G76 expressways: Chengdu - Neijiang - Zigong - Yibin",
        (
            (104.07, 30.66), (105.06, 29.58), (104.77, 29.34), (104.64, 28.76),
        ),
    ),
    Route(
        "G318", "318国道",
        "National road 318: Chengdu - Ya'an - Kangding - Litang - Batang",
        (
            (104.07, 30.66), (103.01, 29.98), (102.76, 30.07), (102.23, 29.91), (101.96, 30.05),
            (101.5, 30.05), (101.01, 30.03), (100.27, 29.996), (99.11, 30.005),
        ),
    ),
    Route(
        "G317", "317国道",
        "National road 317: Chengdu - Wenchuan - Barkam - Ganzi",
        (
            (104.07, 30.66), (103.59, 31.48), (103.17, 31.44), (102.22, 31.905), (100.67, 31.39),
            (99.99, 31.62),
        ),
    ),
    Route(
        "G108", "108国道",
        "National road 108: Guangyuan - Mianyang - Chengdu - Ya'an - Xichang",
        (
            (105.84, 32.44), (104.68, 31.47), (104.07, 30.66), (103.01, 29.98), (102.65, 29.35),
            (102.17, 28.55), (102.26, 27.89),
        ),
    ),
)
# fmt: on


def line(via: tuple[Point, ...]) -> list[Point]:
    """The vertices of the shortest paths from each point to the next, rounded; ``(lon, lat)``."""
    from routrs import highway_distance

    points: list[Point] = []
    for start, end in pairwise(via):
        _, path = highway_distance(start[::-1], end[::-1])
        leg = [(round(lon, DECIMALS), round(lat, DECIMALS)) for lat, lon in path]
        points += leg[1:] if points else leg
    return points


def build() -> tuple[Corridor, ...]:
    """All corridors, in the order of the file."""
    return tuple(
        Corridor(route.corridor, route.name_zh, route.name_en, tuple(line(route.via)))
        for route in CORRIDORS
    )


def as_text(corridors: tuple[Corridor, ...]) -> str:
    """The file: JSON, one corridor a line."""
    keys = ("corridor", "name_zh", "name_en", "points")
    lines = [
        json.dumps({k: getattr(c, k) for k in keys}, ensure_ascii=False, separators=(",", ":"))
        for c in corridors
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` compare it. Returns the exit code."""
    built = build()
    if "--check" not in arguments:
        FILE.write_text(as_text(built), encoding="utf-8")
        print(f"{FILE.name}: {len(built)} corridors")
        return 0
    same = built == read_corridors()
    print(f"{FILE.name}: {'as rebuilt' if same else 'DIFFERS from what routrs gives'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
