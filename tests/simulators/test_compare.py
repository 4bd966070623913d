"""The distances between the simulated world and recordings, and the picture of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.stats import wasserstein_distance

from shudao.errors import ShudaoError
from shudao.vocabulary import Names
from simulators.compare import Panel, Row, compare, distances
from simulators.plot import draw
from simulators.references import PERCENTILES, RECORDINGS, Reference, published, recorded
from simulators.world import World
from tests.simulators.summarise import as_json
from tests.simulators.test_simulate_cli import start

HERE = Names("此处", "here")


def test_the_summaries_are_those_of_the_recordings() -> None:
    """recordings.json is what `python -m tests.simulators.summarise` makes of them."""
    assert RECORDINGS.read_bytes() == as_json()


def test_the_distance_of_whole_distributions_is_wassersteins() -> None:
    """As scipy computes it from all values, to a percent of the spread."""
    random = np.random.default_rng(1)
    one, two = random.normal(-90, 8, 5_000), random.gamma(2, 6, 5_000) - 110
    reference = Reference(HERE, np.array(PERCENTILES), np.percentile(two, PERCENTILES))
    assert reference.distance(one) == pytest.approx(wasserstein_distance(one, two), abs=0.1)
    assert reference.is_whole


def test_the_distance_to_published_quantiles_is_their_mean_difference() -> None:
    """0 … 100 has the median 50 and the 95th percentile 95: 10 and 5 away."""
    reference = published(HERE, {50: 60, 95: 90})
    assert reference.distance(np.arange(101.0)) == 7.5
    assert not reference.is_whole


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    return compare(world)


def test_each_quantity_is_compared_with_its_recordings(rows: list[Row]) -> None:
    """Every row has three panels; each distance is that of its own values, in its own unit."""
    assert [[panel.field for panel in row.panels] for row in rows] == [
        *[["rsrp_dbm", "sinr_db", "rtt_ms"]] * 3,
        ["down_mbps", "rtt_ms", "jitter_ms"],
    ]
    download = rows[3].panels[0].groups[0].simulated
    stated = {(d.technology, d.field, d.recorded): d for d in distances(rows)}
    found = stated["fttp", "down_mbps", "Chicago cable 2021"]
    expected = recorded("chicago", "down_mbps").distance(download)
    assert (found.distance, found.unit) == (round(expected, 3), "Mbit/s")


def test_what_was_tuned_to_a_recording_is_near_it(rows: list[Row]) -> None:
    """Round trips by CE level follow Oslo's, the median of 4G is Cork's, to 15 %."""
    for panel in (rows[0].panels[2], rows[1].panels[2]):
        for group in panel.groups:
            for reference in group.references:
                assert reference.distance(group.simulated) < 0.15 * np.median(group.simulated)


def test_the_picture_shows_the_values(rows: list[Row], tmp_path: Path) -> None:
    """The same values make the same PNG, others another one."""
    row = rows[1]
    moved = replace(row.panels[0].groups[0], simulated=row.panels[0].groups[0].simulated + 10)
    other = replace(row, panels=[Panel("rsrp_dbm", [moved]), *row.panels[1:]])
    pictures = []
    for drawn in (row, row, other):
        draw([drawn], tmp_path / "world.png", 1)
        pictures.append((tmp_path / "world.png").read_bytes())
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_picture_that_cannot_be_written_is_told(rows: list[Row], tmp_path: Path) -> None:
    """With the option that names another."""
    with pytest.raises(ShudaoError, match=r"No such file.* → name another file with --out"):
        draw(rows[1:2], tmp_path / "no" / "such.png", 1)


async def test_the_command_writes_the_picture_and_states_the_distances(
    database_url: str, mqtt_url: str, tmp_path: Path
) -> None:
    """As JSON, of the world of a seed over the registry in the database."""
    out = tmp_path / "world.png"
    plotting = start(database_url, mqtt_url, "plot", "--json", "--out", str(out), "--seed", "3")
    printed, error = await asyncio.to_thread(plotting.communicate, timeout=120)
    assert plotting.returncode == 0, error
    told = json.loads(printed)
    assert (told["picture"], told["seed"]) == (str(out), 3)
    assert {d["recorded"] for d in told["distances"]} >= {"Oslo 2019", "Chicago cable 2021"}
    assert imread(out).shape[1] == 1800


def test_other_commands_do_not_wait_for_matplotlib() -> None:
    """It is imported by `simulate plot` only."""
    code = "import sys, shudao.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
