"""The real registry without a database, and a world of it."""

from __future__ import annotations

import pytest

from shudao.registry.coordinates import place_villages
from shudao.registry.corridors import segments
from shudao.registry.tree import read_vintage
from simulators.constants import KEY_SITES
from simulators.places import Places, make_places
from simulators.world import World, build_world

SEED = 7


@pytest.fixture(scope="session")
def places() -> Places:
    """All places of 2018 and the key ones beside them, numbered from 1; station ids follow."""
    tree = read_vintage()
    at = place_villages(tree)
    points = list(zip(tree.villages, at.lon.tolist(), at.lat.tolist(), strict=True))
    rows = [("village", v.kind, v.code, int(v.county), x, y) for v, x, y in points]
    rows += [("segment", s.corridor, s.code, int(s.county), s.lon, s.lat) for s in segments()]
    homes = [(v, x, y) for v, x, y in points if v.kind == "community"]
    for kind, beside in (("site", KEY_SITES), ("wlan", ["park"])):
        rows += [
            (kind, subkind, f"{v.code}-{subkind}-1", int(v.county), x, y)
            for subkind in beside
            for v, x, y in homes
        ]
    stations = {
        v.code: len(rows) + 1 + i for i, v in enumerate(tree.villages) if v.kind == "village"
    }
    return make_places([(i + 1, *row) for i, row in enumerate(rows)], stations)


@pytest.fixture(scope="session")
def world(places: Places) -> World:
    return build_world(places, SEED)
