"""Synthetic coordinates: inside the county, deterministic, town by town."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import shapely

from shudao.registry import VINTAGES, read_vintage
from shudao.registry.boundaries import county_area_km2, county_polygons, county_today, locate
from shudao.registry.coordinates import place_villages, town_centres, uniform

DIGEST = """
import hashlib
from shudao.registry import VINTAGES, read_vintage
from shudao.registry.coordinates import place_villages
for vintage in VINTAGES:
    placed = place_villages(read_vintage(vintage))
    print(hashlib.sha256(placed.lon.tobytes() + placed.lat.tobytes()).hexdigest())
"""


TODAY = {
    "510132": "510118", "510922": "510981", "513425": "513402",
    "511071": "511002", "511771": "511703", "511971": "511902",
}  # fmt: skip
"""The renamed counties and the development zones of 2018, and whose polygon is theirs."""


@pytest.mark.parametrize("vintage", VINTAGES)
def test_every_village_lies_inside_its_own_county(vintage: str) -> None:
    """Point in polygon, for all villages, renamed counties and development zones included."""
    tree = read_vintage(vintage)
    placed = place_villages(tree)
    own = np.array([TODAY.get(village.county, village.county) for village in tree.villages])
    checked = 0
    for code, polygon in county_polygons().items():
        here = own == code
        assert here.any(), code
        assert shapely.contains_xy(polygon, placed.lon[here], placed.lat[here]).all(), code
        checked += int(here.sum())
    assert checked == len(tree.villages)


def test_boundaries_are_those_of_the_counties_of_2023() -> None:
    """One valid polygon for each county; together they are as large as Sichuan."""
    polygons = county_polygons()
    assert set(polygons) == {county.code for county in read_vintage("2023-06-30").counties}
    assert all(polygon.is_valid for polygon in polygons.values())
    assert sum(county_area_km2(code) for code in polygons) == pytest.approx(486_000, rel=0.01)


def test_two_processes_make_the_same_coordinates() -> None:
    """Nothing depends on the run, the hash seed or the order of a set."""
    here = []
    for vintage in VINTAGES:
        placed = place_villages(read_vintage(vintage))
        here.append(hashlib.sha256(placed.lon.tobytes() + placed.lat.tobytes()).hexdigest())
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == here


@pytest.mark.parametrize("vintage", VINTAGES)
def test_villages_have_places_of_their_own_near_their_town(vintage: str) -> None:
    """No two share a point, and none is farther from its town's centre than a town is wide."""
    tree = read_vintage(vintage)
    placed = place_villages(tree)
    assert len(set(zip(placed.lon, placed.lat, strict=True))) == len(tree.villages)
    centres = np.array([town_centres()[village.code[:9]] for village in tree.villages])
    towns = dict.fromkeys(county_polygons(), 0)
    for town in tree.towns:
        towns[county_today(town.code)] += 1
    counties = [county_today(village.code) for village in tree.villages]
    reach = np.array([np.sqrt(county_area_km2(c) / towns[c] / np.pi) for c in counties])
    east = (placed.lon - centres[:, 0]) * np.cos(np.radians(centres[:, 1])) * 111.2
    north = (placed.lat - centres[:, 1]) * 111.2
    assert (np.hypot(east, north) <= reach + 0.001).all()


@pytest.mark.parametrize("vintage", VINTAGES)
def test_towns_are_better_spread_than_by_chance(vintage: str) -> None:
    """Mean distance to the nearest town: 0.5 of the spacing by chance, 1.07 at the very best."""
    centres = town_centres()
    towns = read_vintage(vintage).towns
    ratios = []
    for code in county_polygons():
        here = np.array([centres[t.code] for t in towns if county_today(t.code) == code])
        if len(here) < 10:
            continue
        plane = here * [np.cos(np.radians(here[:, 1].mean())) * 111.2, 111.2]
        distance = np.hypot(*(plane[:, None] - plane[None]).transpose(2, 0, 1))
        np.fill_diagonal(distance, np.inf)
        ratios.append(distance.min(axis=1).mean() / np.sqrt(county_area_km2(code) / len(here)))
    assert np.mean(ratios) > 0.63


def test_precision_is_the_size_of_the_county() -> None:
    """A synthetic point claims no more than that it is somewhere in its county."""
    tree = read_vintage()
    placed = place_villages(tree)
    first = tree.villages[0]
    radius = np.sqrt(county_area_km2(first.county) / np.pi) * 1000
    assert placed.precision_m[0] == pytest.approx(radius)
    assert placed.precision_m.min() > 1_000


def test_draws_are_uniform_and_belong_to_the_code() -> None:
    """The hash fills [0, 1) evenly, and neighbours in code or draw are not alike."""
    codes = [village.code for village in read_vintage().villages[:20_000]]
    first, second = uniform(codes, [0, 1]).T
    counts, _ = np.histogram(first, bins=20, range=(0, 1))
    assert counts.sum() == len(codes)
    assert np.abs(counts / len(codes) - 0.05).max() < 0.006
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    assert uniform(codes[5:6], [1])[0, 0] == second[5]


def test_locate_names_the_county_of_a_point() -> None:
    """Inside Sichuan its county, elsewhere nothing."""
    jiuzhaigou, beijing = (104.237, 33.262), (116.4, 39.9)
    lon, lat = np.array([jiuzhaigou, beijing]).T
    assert locate(lon, lat) == ["513225", None]
