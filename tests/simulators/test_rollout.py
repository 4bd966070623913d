from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from shudao.goals import load_goals
from shudao.vocabulary import Carrier, Technology
from simulators.base_stations import NO_STATION
from simulators.draws import Draws
from simulators.field import gaussian_field
from simulators.rollout import LAST, MONTHS, first_day, first_months, month_of, progress
from simulators.samples import radio_samples
from simulators.truth import covered_places, good_share, true_coverage
from simulators.world import World

GOALS = {goal.id: goal for goal in load_goals()}


@pytest.fixture(scope="module")
def worlds(world: World) -> list[World]:
    """One in four months."""
    return [world.at(month) for month in (0, 12, 20, LAST)]


def test_months_are_those_of_the_plan_and_stand_still_outside_of_it() -> None:
    """August 2018 is 0, December 2020 the last; a month begins with its first day."""
    assert (month_of(date(2018, 8, 25)), month_of(date(2020, 12, 31))) == (0, LAST)
    assert (month_of(date(2017, 1, 1)), month_of(date(2026, 1, 1))) == (0, LAST)
    assert [month_of(first_day(m)) for m in range(MONTHS)] == list(range(MONTHS))
    assert first_day(MONTHS) == date(2021, 1, 1)


def test_progress_begins_at_its_start_never_falls_and_only_laggards_miss_the_end() -> None:
    """183 counties of the real codes' range: a few miss the deadline, and are far enough."""
    counties = np.unique(np.random.default_rng(0).integers(510100, 513500, 400))
    reached = progress(counties, 0.3, Draws(1), "fibre")
    assert reached.shape == (len(counties), MONTHS)
    assert (reached[:, 0] >= 0.3).all()
    assert (np.diff(reached, axis=1) >= 0).all()
    late = reached[:, -1] < 1
    assert 0.02 < late.mean() < 0.3
    assert (reached[late, -1] > 0.6).all()


def test_a_thing_is_there_from_the_first_month_whose_progress_exceeds_its_order() -> None:
    """Orders 0.1, 0.35 and 0.99 in a county that goes 0.2, 0.4, 0.9: months 0, 1, never (3)."""
    reached = np.tile([0.2, 0.4, 0.9], (3, 1))
    assert first_months(np.array([0.1, 0.35, 0.99]), reached).tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("goal", "low", "high"),
    [
        ("nbiot-general", 0.40, 0.60),
        ("village-fibre", 0.72, 0.85),
        ("station-signal", 0.80, 0.92),
        ("corridor-signal", 0.70, 0.85),
        ("village-5g", 0.0, 0.001),
        ("ipv6", 0.05, 0.2),
        ("nbiot-deep", 0.5, 0.7),
        ("wlan-areas", 0.4, 0.6),
    ],
)
def test_the_plan_began_where_it_says(world: World, goal: str, low: float, high: float) -> None:
    """Any carrier, whole province, August 2018."""
    assert low <= true_coverage(world.at(0), GOALS[goal]).share_any <= high


@pytest.mark.parametrize("goal", list(GOALS))
def test_what_is_covered_stays_covered(worlds: list[World], goal: str) -> None:
    """For each place and carrier: nothing is taken away from one month to a later one.

    But a nearer 5G station may be out of sight where the farther one was not, and the slowest fibre
    is slower than the fastest copper.
    """
    for before, after in pairwise(worlds):
        was, now = covered_places(before, GOALS[goal]), covered_places(after, GOALS[goal])
        assert (was & ~now).mean() < {"village-5g": 2e-3, "fixed-speed": 1e-4}.get(goal, 1e-9)
        assert now.sum() > was.sum() or goal == "village-5g"


def test_a_month_is_the_same_whichever_way_one_came_there(world: World) -> None:
    """There and back again changes nothing."""
    goal = GOALS["nbiot-general"]
    np.testing.assert_array_equal(
        good_share(world.at(3).at(9).at(3), goal), good_share(world.at(3), goal)
    )


def test_places_that_a_base_station_serves_are_in_one_cell(world: World) -> None:
    """Fewer cells than places, neighbours share them, and the cell is that of the station."""
    layer, carrier = world.layers[Technology.NBIOT], Carrier.TELECOM - 1
    place = np.flatnonzero(world.places.is_village)[:4000]
    columns = radio_samples(
        world, Technology.NBIOT, place[:, None], np.full((len(place), 1), carrier), place[:, None]
    )
    cells = columns["cell_id"][:, 0]
    stations = layer.station[place, carrier]
    assert (stations != NO_STATION).all()
    assert len(np.unique(cells[~np.isnan(cells)])) <= len(np.unique(stations)) < len(place) / 2
    lon, lat = world.places.lon[place], world.places.lat[place]
    for station in np.unique(stations)[:50]:
        served = stations == station
        assert np.ptp(lon[served]) < 1
        assert np.ptp(lat[served]) < 1


def test_shadows_are_correlated_as_they_say() -> None:
    """Points 0, 1/2, 1 and 3 correlation distances apart: exp(-d), over 400 seeds."""
    km = np.array([0.0, 0.5, 1.0, 3.0])
    lat = 30.0 + km / 111.2
    values = np.array(
        [gaussian_field(Draws(s), "f", np.full(4, 104.0), lat, 1.0) for s in range(400)]
    )
    correlation = np.corrcoef(values.T)[0]
    np.testing.assert_allclose(correlation, np.exp(-km), atol=0.13)
    assert values.std() == pytest.approx(1, abs=0.06)
    assert abs(values.mean()) < 0.06
