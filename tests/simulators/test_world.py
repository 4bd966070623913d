import numpy as np
import pytest

from shudao.goals import Goal, load_goals
from shudao.vocabulary import Carrier, Technology
from simulators.places import Places, make_places
from simulators.samples import broadband_samples, radio_samples
from simulators.truth import counted_places, covered_places, good_share, true_coverage
from simulators.world import World, build_world

GOALS = {goal.id: goal for goal in load_goals()}
WEST = ("5132", "5133", "5134")


@pytest.fixture(scope="module")
def another(places: Places) -> World:
    """Of another seed."""
    return build_world(places, 2018)


@pytest.mark.parametrize(
    ("goal", "low", "high"),
    [
        ("nbiot-general", 0.92, 0.95),
        ("village-fibre", 0.97, 0.99),
        ("station-signal", 0.96, 0.985),
        ("corridor-signal", 0.88, 0.95),
        ("village-5g", 0.20, 0.32),
        ("nbiot-deep", 0.95, 0.99),
        ("wlan-areas", 0.80, 0.92),
    ],
)
def test_true_shares_lie_where_the_world_was_tuned_to(
    world: World, another: World, goal: str, low: float, high: float
) -> None:
    """At the end of the plan, any carrier, whole province, for more than one seed."""
    for of_seed in (world, another):
        assert low < true_coverage(of_seed, GOALS[goal]).share_any < high


def test_the_west_is_worse_and_carriers_differ(world: World) -> None:
    """Every western prefecture is below the province; telecom leads, broadnet is last."""
    for goal in ("nbiot-general", "village-fibre", "station-signal"):
        province = true_coverage(world, GOALS[goal])
        for prefecture in WEST:
            assert true_coverage(world, GOALS[goal], prefecture).share_any < province.share_any
    nbiot = true_coverage(world, GOALS["nbiot-general"])
    by = [nbiot.share_by(carrier) for carrier in Carrier]
    assert by == sorted(by, reverse=True)
    assert nbiot.share_any > by[0]


def test_the_same_seed_is_the_same_world_and_another_is_not(
    places: Places, world: World, another: World
) -> None:
    """Signal, fibre and truth are equal for equal seeds only."""
    again, other = build_world(places, world.seed), another
    for technology, layer in world.layers.items():
        np.testing.assert_array_equal(again.layers[technology].rsrp_dbm, layer.rsrp_dbm)
        assert (other.layers[technology].rsrp_dbm != layer.rsrp_dbm).mean() > 0.3
    np.testing.assert_array_equal(again.fixed.technology, world.fixed.technology)
    assert (other.fixed.technology != world.fixed.technology).any()


def test_the_order_of_places_changes_nothing(places: Places, world: World) -> None:
    """A village has the same truth wherever it stands in the list."""
    order = np.random.default_rng(0).permutation(len(places))
    rows = [
        (int(places.place_id[i]), str(places.kind[i]), str(places.subkind[i]), places.code[i],
         int(places.county[i]), float(places.lon[i]), float(places.lat[i]))
        for i in order.tolist()
    ]  # fmt: skip
    shuffled = build_world(make_places(rows, {}), world.seed)
    goal = GOALS["nbiot-general"]
    np.testing.assert_array_equal(
        covered_places(shuffled, goal), covered_places(world, goal)[order]
    )


def test_counties_add_up_to_the_province(world: World) -> None:
    """Places and covered places of all counties are those of 51."""
    goal = GOALS["nbiot-general"]
    counties = [true_coverage(world, goal, str(c)) for c in np.unique(world.places.county)]
    province = true_coverage(world, goal)
    assert province.places == 53_578 == sum(t.places for t in counties)
    assert province.covered_any == sum(t.covered_any for t in counties)


def test_goals_count_the_places_that_they_name(world: World) -> None:
    """Administrative villages and their stations: 45,909; segments lie in counties."""
    assert true_coverage(world, GOALS["village-fibre"]).places == 45_909
    assert true_coverage(world, GOALS["station-signal"]).places == 45_909
    segments = int(world.places.is_segment.sum())
    assert true_coverage(world, GOALS["corridor-signal"]).places == segments > 2_000
    assert true_coverage(world, GOALS["corridor-signal"], "5101").places < segments


def _is_good(goal: Goal, columns: dict[str, np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
    criteria = goal.criteria
    if criteria.ipv6:
        return columns["ipv6"] == 1
    if criteria.down_mbps:
        return columns["down_mbps"] >= criteria.down_mbps
    good = columns["rsrp_dbm"] >= criteria.rsrp_dbm
    return good & (columns["sinr_db"] >= criteria.sinr_db) if criteria.sinr_db else good


@pytest.mark.parametrize("goal", list(GOALS.values()), ids=list(GOALS))
def test_samples_agree_with_the_truth(world: World, goal: Goal) -> None:
    """The share of good ones among 2,000 samples of 300 places is the computed one."""
    times = 1_600_000_000_000 + 1000 * np.arange(2_000)[None, :]
    kind = counted_places(world, goal)
    carrier = 0
    lines = np.isin(world.fixed.technology[:, carrier], goal.evidence.technology_ids)
    usable = kind & lines if goal.evidence.stream == "broadband" else kind
    place = np.flatnonzero(usable)[::7][:300, None]
    carriers = np.full_like(place, carrier)
    if goal.evidence.stream == "broadband":
        columns = broadband_samples(world, place, carriers, times)
    else:
        technology = Technology(goal.evidence.technology_ids[0])
        columns = radio_samples(world, technology, place, carriers, times)
    good = _is_good(goal, dict(columns))
    if goal.evidence.good:
        good &= np.isin(world.fixed.technology[place, carrier], goal.evidence.good_ids)
    observed = good.mean(axis=1)
    expected = good_share(world, goal)[place[:, 0], carrier]
    np.testing.assert_allclose(observed, expected, atol=0.06)
    assert abs(observed.mean() - expected.mean()) < 0.003
    assert 0.02 < expected.mean() < 0.999


def test_narrowband_levels_follow_rsrp_with_a_fuzzy_border(world: World) -> None:
    """Level 0 when strong, 2 when weak, all three between the thresholds; slower when deeper."""
    place = np.flatnonzero(world.places.is_village)[:3000, None]
    carriers = np.full_like(place, Carrier.UNICOM - 1)  # whose signal is often weak
    times = 1_600_000_000_000 + 1000 * np.arange(20)[None, :]
    columns = radio_samples(world, Technology.NBIOT, place, carriers, times)
    rsrp, ecl, rtt = columns["rsrp_dbm"], columns["ecl"], columns["rtt_ms"]
    assert (ecl[rsrp > -90] == 0).all()
    assert (ecl[rsrp < -136] == 2).all()
    assert set(np.unique(ecl[(rsrp < -111) & (rsrp > -115)])) == {0, 1, 2}
    median = [np.median(rtt[ecl == level]) for level in (0, 1, 2)]
    np.testing.assert_allclose(median, [2240, 2480, 6370], rtol=0.05)


def test_where_a_carrier_has_no_network_no_cell_is_found(world: World) -> None:
    """Broadnet has 4G nowhere: not attached, and nothing measured."""
    place = np.arange(50)[:, None]
    columns = radio_samples(
        world, Technology.LTE, place, np.full_like(place, Carrier.BROADNET - 1), place * 0 + 1
    )
    assert (columns["attached"] == 0).all()
    assert np.isnan(columns["rsrp_dbm"]).all()
