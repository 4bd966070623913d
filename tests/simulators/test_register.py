from typing import Any, TypeAlias

import asyncpg
import pytest

from shudao.errors import ShudaoError
from simulators.devices import Role
from simulators.key_places import register_key_places
from simulators.places import read_places
from simulators.prepare import Choice, prepare
from simulators.register import Registrar, register_devices
from simulators.traffic import Traffic

VINTAGE = "2018-10-31"
Connection: TypeAlias = "asyncpg.Connection[Any]"


async def test_every_administrative_village_gets_its_station_once(connection: Connection) -> None:
    """45,909 with the village's code, division and coordinates; the second time none is new."""
    assert await register_key_places(connection, VINTAGE) == 45_909 + (3 * 4 + 1) * 7_590
    assert await register_key_places(connection, VINTAGE) == 0
    same = await connection.fetchval(
        "SELECT count(*) FROM place s"
        " JOIN place v USING (vintage, code, division, county, lon, lat)"
        " WHERE s.kind = 'station' AND s.source = 'simulated' AND v.kind = 'village'"
        " AND v.subkind = 'village' AND s.coord_source = 'synthetic'"
    )
    assert same == 45_909


async def test_every_community_has_its_key_sites_and_a_wlan_area(connection: Connection) -> None:
    """Three of four scenarios each; of the four kinds of areas one, all of them about as often."""
    await register_key_places(connection, VINTAGE)
    rows = await connection.fetch(
        "SELECT p.kind, p.subkind, count(*) FROM place p JOIN place c"
        " ON c.kind = 'village' AND c.subkind = 'community' AND c.vintage = p.vintage"
        " AND starts_with(p.code, c.code || '-' || p.subkind)"
        " AND p.division = c.division AND p.lon = c.lon"
        " WHERE p.kind IN ('site', 'wlan') GROUP BY 1, 2"
    )
    counts = {(r["kind"], r["subkind"]): r["count"] for r in rows}
    sites = {subkind: n for (kind, subkind), n in counts.items() if kind == "site"}
    assert sites == dict.fromkeys(("meter_room", "car_park", "smoke_alarm", "street_lamp"), 22_770)
    areas = {subkind: n for (kind, subkind), n in counts.items() if kind == "wlan"}
    assert set(areas) == {"park", "mall", "transport", "scenic"}
    assert sum(areas.values()) == 7_590
    assert min(areas.values()) > 1_000


async def test_places_of_the_registry_become_columns(connection: Connection) -> None:
    """All villages, the segments, each village's station, key sites and WLAN areas."""
    await register_key_places(connection, VINTAGE)
    places = await read_places(connection, VINTAGE)
    assert places.is_settled.sum() == 53_578
    assert places.is_site.sum() == 3 * 4 * 7_590
    assert places.is_wlan.sum() == 7_590
    assert places.is_village.sum() == 45_909 == (places.station_id > 0).sum()
    assert places.is_community.sum() == 7_590
    assert places.is_segment.sum() > 2_000
    assert len(set(places.prefecture.tolist())) == 21


async def test_devices_are_registered_once_and_as_they_are(connection: Connection) -> None:
    """Rows say carrier, place, technology and kind; the second time nothing is new."""
    world, reporters = await prepare(connection, VINTAGE, 1, Choice(devices=2_000))
    assert await register_devices(connection, world.places, reporters) == 2_000
    assert await register_devices(connection, world.places, reporters) == 0
    rows = await connection.fetch("SELECT * FROM device")
    by_name = {row["name"]: row for row in rows}
    assert len(by_name) == 2_000
    place_of = {
        Role.DRIVE: lambda p: 0,
        Role.STATION: lambda p: world.places.station_id[p],
    }
    for i in range(len(reporters)):
        row, role = by_name[reporters.name(i)], Role(reporters.role[i])
        where = place_of.get(role, lambda p: world.places.place_id[p])(reporters.place[i])
        assert row["place_id"] == where
        assert row["carrier_id"] == reporters.carrier[i] + 1
        assert row["technology_id"] == reporters.technology[i]
        assert row["interval_s"] == reporters.interval_s[i]
        assert row["source"] == "simulated"


async def test_a_device_whose_place_has_another_id_follows_it(connection: Connection) -> None:
    """After the registry was loaded anew, devices stand at the new rows; others' are left."""
    world, reporters = await prepare(connection, VINTAGE, 1, Choice(devices=100))
    await register_devices(connection, world.places, reporters)
    await connection.execute("UPDATE device SET place_id = 7 WHERE device_id <= 10")
    await connection.execute("UPDATE device SET source = 'registered' WHERE device_id <= 3")
    assert await register_devices(connection, world.places, reporters) == 7
    assert await connection.fetchval("SELECT count(*) FROM device WHERE place_id = 7") == 3


async def test_registration_stays_ahead_of_the_reports(connection: Connection) -> None:
    """What may report is what the database has."""
    world, reporters = await prepare(connection, VINTAGE, 1, Choice(devices=15_000))
    traffic = Traffic(world, reporters, start_ms=1_600_000_000_000, history_ms=0)
    registrar = Registrar(traffic, world.places, reporters)
    assert traffic.ready == 0
    await registrar.some(connection)
    assert traffic.ready == 10_000
    names = {reporters.name(i) for i in range(traffic.ready)}
    assert names == {row["name"] for row in await connection.fetch("SELECT name FROM device")}
    await registrar.some(connection)
    await registrar.some(connection)
    assert traffic.ready == len(reporters)
    assert await connection.fetchval("SELECT count(*) FROM device") == 15_000


async def test_without_a_registry_it_says_what_to_do(empty_database_url: str) -> None:
    """Migrated, but nothing loaded."""
    connection = await asyncpg.connect(empty_database_url)
    try:
        with pytest.raises(ShudaoError, match="shudao registry load"):
            await prepare(connection, VINTAGE, 1, Choice())
    finally:
        await connection.close()


async def test_without_a_schema_it_says_what_to_do(bare_database_url: str) -> None:
    """A database that was never migrated."""
    connection = await asyncpg.connect(bare_database_url)
    try:
        with pytest.raises(ShudaoError, match="shudao db migrate"):
            await prepare(connection, VINTAGE, 1, Choice())
    finally:
        await connection.close()


async def test_filters_that_leave_nobody_are_refused(connection: Connection) -> None:
    """A prefecture that is none."""
    with pytest.raises(ShudaoError, match="no device is left"):
        await prepare(connection, VINTAGE, 1, Choice(prefectures=(4401,)))
