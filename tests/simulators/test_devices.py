import numpy as np

from shudao.vocabulary import Carrier, Technology
from simulators.devices import SITE_SENSORS, Population, Role, population
from simulators.world import World


def _names(reporters: Population) -> list[str]:
    return [reporters.name(row) for row in range(len(reporters))]


def _prefectures(world: World, reporters: Population) -> set[int]:
    return set(world.places.prefecture[reporters.place].tolist())


def test_the_first_reports_cover_all_prefectures_and_carriers(world: World) -> None:
    """21 prefectures and four carriers within the first 300 of 640,000."""
    first = population(world).part(0, 300)
    assert len(_prefectures(world, first)) == 21
    assert set(first.carrier.tolist()) == {0, 1, 2, 3}


def test_everyone_is_there_once(world: World) -> None:
    """A sensor at each village of each carrier, probes of three, stations, lines, testers."""
    everyone, places = population(world), world.places
    villages, segments = int(places.is_settled.sum()), int(places.is_segment.sum())
    counts = {role: int((everyone.role == role).sum()) for role in Role}
    assert counts[Role.SENSOR] == 4 * villages
    assert counts[Role.PROBE] == 3 * villages
    assert counts[Role.STATION] == 3 * 45_909
    assert counts[Role.LINE] == (world.fixed.technology > 0).sum()
    assert counts[Role.DRIVE] == 3 * segments
    assert counts[Role.AIR] == places.is_community.sum()
    at_sites = sum(counts[role] for role in SITE_SENSORS.values())
    assert at_sites == 4 * places.is_site.sum()
    reporters = set(zip(everyone.role, everyone.place, everyone.carrier, strict=True))
    assert len(reporters) == len(everyone)


def test_a_name_belongs_to_one_device(world: World) -> None:
    """Device numbers and names are the same partition; names are short and fit a topic."""
    everyone = population(world, share=0.2)
    pairs = set(zip(everyone.device.tolist(), _names(everyone), strict=True))
    assert len(pairs) == everyone.devices == len({name for _, name in pairs})
    for _, name in pairs:
        assert len(name) <= 48
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_names_say_what_and_where(world: World) -> None:
    """A sensor is nb-carrier-village, a tester has one name on its whole corridor."""
    everyone = population(world)
    sensor = int(np.flatnonzero(everyone.role == Role.SENSOR)[0])
    code = world.places.code[everyone.place[sensor]]
    assert everyone.name(sensor) == f"nb-telecom-{code}"
    testers = np.flatnonzero((everyone.role == Role.DRIVE) & (everyone.carrier == 0))
    names = {everyone.name(row) for row in testers.tolist()}
    corridors = {
        code.rpartition("-")[0].lower()
        for code, segment in zip(world.places.code, world.places.is_segment, strict=True)
        if segment
    }
    assert names == {f"drive-telecom-{corridor}" for corridor in corridors}


def test_a_share_is_the_beginning_and_keeps_places_whole(world: World) -> None:
    """A tenth of the places, with all their devices, in the same order, everywhere."""
    everyone, tenth = population(world), population(world, share=0.1)
    np.testing.assert_array_equal(tenth.place, everyone.place[: len(tenth)])
    assert not set(tenth.place.tolist()) & set(everyone.place[len(tenth) :].tolist())
    assert len(np.unique(tenth.place)) == round(0.1 * len(np.unique(everyone.place)))
    assert len(_prefectures(world, tenth)) == 21


def test_a_cap_is_kept_exactly(world: World) -> None:
    """At most so many devices, numbered from 0, from all prefectures."""
    for cap in (1, 500, 5_000):
        some = population(world, devices=cap)
        assert some.devices == cap == len(set(some.device.tolist()))
    assert len(_prefectures(world, population(world, devices=500))) == 21


def test_filters_keep_carriers_and_prefectures(world: World) -> None:
    """Only Garze, only mobile."""
    some = population(world, carriers=(Carrier.MOBILE,), prefectures=(5133,))
    assert _prefectures(world, some) == {5133}
    assert set(some.carrier.tolist()) == {Carrier.MOBILE - 1}
    assert len(population(world, prefectures=(9999,))) == 0


def test_lines_have_the_technology_of_the_world(world: World) -> None:
    """Fibre where there is fibre, else telecom's copper or satellite."""
    everyone = population(world)
    lines = everyone.role == Role.LINE
    technology = world.fixed.technology[everyone.place[lines], everyone.carrier[lines]]
    np.testing.assert_array_equal(everyone.technology[lines], technology)
    other = ~np.isin(technology, (Technology.FTTP, Technology.WLAN))
    assert set(everyone.carrier[lines][other].tolist()) == {Carrier.TELECOM - 1}
    assert set(technology[other].tolist()) == {Technology.DSL, Technology.SATELLITE}
