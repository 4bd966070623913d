"""Who measures: the devices of a world, and the fair order in which they report.

A *reporter* is a device at a place: an NB-IoT sensor, a probe, or a drive tester at one kilometre
of its corridor (a tester is one device with many reporters). Reporters are columns, in the order
of their first report: the devices of a village together, villages shuffled by the seed, one of
each prefecture first. So a part of the population is its beginning, and covers the whole province.
Only a community's second and third site of a kind come at the end: villages are seen first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from shudao.vocabulary import Carrier, Technology
from simulators import constants as c
from simulators.draws import Floats
from simulators.firmware import choose_firmware
from simulators.habits import mar_intervals
from simulators.places import Bools, Ints
from simulators.world import World

MOBILE_CARRIERS = tuple(k for k in Carrier if c.LTE.county_share[k - 1] > 0)
"""Carriers that have a 4G network to test."""


class Role(IntEnum):
    """What a reporter is; decides its name, stream and technologies."""

    SENSOR = 0
    """NB-IoT sensor at every village, of every carrier (where there is no signal it says so)."""
    PROBE = 1
    """4G and 5G probe at every village, of carriers with a mobile network."""
    STATION = 2
    """4G probe at the village's information station."""
    LINE = 3
    """Broadband probe on a carrier's fixed line."""
    DRIVE = 4
    """4G and 5G drive tester on one kilometre of its corridor."""
    WATER = 5
    """Water meter in a meter room; this and those below are of NB-IoT and send readings, too."""
    PARKING = 6
    """Parking detector in a car park."""
    LAMP = 7
    """Controller of a street lamp."""
    SMOKE = 8
    """Smoke alarm."""
    AIR = 9
    """Air quality station of a community."""


NARROWBAND = (Role.SENSOR, Role.WATER, Role.PARKING, Role.LAMP, Role.SMOKE, Role.AIR)
SITE_SENSORS = {
    "meter_room": Role.WATER,
    "car_park": Role.PARKING,
    "street_lamp": Role.LAMP,
    "smoke_alarm": Role.SMOKE,
}
"""What stands at a key scenario site, by the site's subkind."""

KIND = {role: "sensor" if role in NARROWBAND else "probe" for role in Role} | {Role.DRIVE: "drive"}
INTERVAL_S = {
    Role.SENSOR: 86_400,  # of most; each has its own
    Role.PROBE: 3_600,
    Role.STATION: 3_600,
    Role.LINE: 21_600,
    Role.DRIVE: 60,
    Role.WATER: 86_400,
    Role.PARKING: 1_800,
    Role.LAMP: 3_600,
    Role.SMOKE: 86_400,
    Role.AIR: 600,
}
CARRIER_CODES = tuple(carrier.name.lower() for carrier in Carrier)
_PREFIX = {role: role.name.lower() for role in Role} | {Role.SENSOR: "nb"}
_LINE_PREFIX = {
    Technology.FTTP: "ftth",
    Technology.DSL: "dsl",
    Technology.SATELLITE: "sat",
    Technology.WLAN: "wlan",
}


@dataclass(frozen=True)
class Population:
    """Reporters as columns of one length.

    ``place`` is a row of `Places`, ``carrier`` 0 … 3, ``technology`` the device's own; reporters
    of one device share the number ``device``, which follows the order of first reports.
    ``firmware`` is a row of `FIRMWARES`, of NB-IoT devices. ``label`` is the part of a device's
    name that says where, by place.
    """

    role: NDArray[np.int8]
    place: Ints
    carrier: Ints
    technology: Ints
    device: Ints
    interval_s: Ints
    firmware: Ints
    label: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.role)

    @property
    def devices(self) -> int:
        """How many devices these are."""
        return int(self.device.max(initial=-1) - self.device.min(initial=0)) + 1

    def name(self, row: int) -> str:
        """The name of a reporter's device: ``nb-telecom-510104020007``."""
        role = Role(self.role[row])
        prefix = _PREFIX[role]
        if role == Role.LINE:
            prefix = _LINE_PREFIX[Technology(int(self.technology[row]))]
        return f"{prefix}-{CARRIER_CODES[self.carrier[row]]}-{self.label[self.place[row]]}"

    def part(self, start: int, end: int) -> Population:
        """The reporters ``start`` up to but not including ``end``."""
        return self.take(np.arange(start, min(end, len(self))))

    def take(self, rows: Ints) -> Population:
        """These reporters, with the numbers that their devices have here."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "label"}
        return Population(
            **{name: column[rows] for name, column in columns.items()}, label=self.label
        )


def corridor_of(code: str) -> str:
    """Corridor of a segment's code: ``G5`` of ``G5-0012``."""
    return code.rpartition("-")[0] or code


def population(
    world: World,
    *,
    share: float = 1.0,
    devices: int | None = None,
    carriers: tuple[Carrier, ...] = tuple(Carrier),
    prefectures: tuple[int, ...] = (),
) -> Population:
    """The reporters of a world, or a fair part of them.

    ``share`` is the share of places whose devices report, ``devices`` the most devices;
    ``prefectures`` (four digits; none means all) and ``carriers`` keep only these.
    """
    role, place, carrier = _all_reporters(world)
    keep = np.isin(carrier + 1, carriers)
    if prefectures:
        keep &= np.isin(world.places.prefecture[place], prefectures)
    role, place, carrier = role[keep], place[keep], carrier[keep]
    drawn = _place_order(world)
    order = np.lexsort((carrier, role, (drawn + world.places.is_further_site)[place]))
    if share < 1:
        present = np.unique(drawn[place])
        last = present[: max(1, round(share * len(present)))][-1] if len(present) else 0
        order = order[drawn[place[order]] <= last]
    chosen = _make(world, role[order], place[order], carrier[order])
    if devices is None:
        return chosen
    too_many = np.append(chosen.device, devices) >= devices
    return chosen.part(0, int(np.argmax(too_many)))


def _all_reporters(world: World) -> tuple[NDArray[np.int8], Ints, Ints]:
    """Role, place and carrier of everything that the world has."""
    places = world.places
    mobile = np.isin(np.arange(len(Carrier)) + 1, MOBILE_CARRIERS)
    settled, every = places.is_settled[:, None], np.ones(len(Carrier), np.bool_)
    of_air = (world.draws.uniform("air/carrier", places.key) * len(Carrier)).astype(np.int64)
    present: dict[Role, Bools] = {
        Role.SENSOR: settled & every,
        Role.PROBE: settled & mobile,
        Role.STATION: places.is_village[:, None] & mobile,
        Role.LINE: world.fixed.technology > 0,
        Role.DRIVE: places.is_segment[:, None] & mobile,
        Role.AIR: places.is_community[:, None] & (of_air[:, None] == np.arange(len(Carrier))),
    }
    for subkind, sensor in SITE_SENSORS.items():
        present[sensor] = (places.is_site & (places.subkind == subkind))[:, None] & every
    where = [np.nonzero(mask) for mask in present.values()]
    role = [np.full(len(place), r, np.int8) for r, (place, _) in zip(present, where, strict=True)]
    place, carrier = (np.concatenate(axis) for axis in zip(*where, strict=True))
    return np.concatenate(role), place, carrier


def _place_order(world: World) -> Floats:
    """Where each place comes in the fair order: shuffled, one village of each prefecture first."""
    places = world.places
    shuffled = world.draws.uniform("order", places.key)
    villages = np.flatnonzero(places.is_settled)
    villages = villages[np.argsort(shuffled[villages])]
    _, first = np.unique(places.prefecture[villages], return_index=True)
    shuffled[villages[first]] -= 1.0
    return shuffled


def _make(world: World, role: NDArray[np.int8], place: Ints, carrier: Ints) -> Population:
    """Add technologies, device numbers and labels to ordered reporters."""
    places = world.places
    technology = np.select(
        [np.isin(role, NARROWBAND), role == Role.LINE],
        [int(Technology.NBIOT), world.fixed.technology[place, carrier]],
        int(Technology.LTE),
    )
    label = tuple(
        re.sub(r"[^a-z0-9]+", "-", (corridor_of(code) if segment else code).lower())
        for code, segment in zip(places.code, places.is_segment.tolist(), strict=True)
    )
    base = {name: row for row, name in enumerate(label)}  # a corridor counts as one place
    home = np.array([base[name] for name in label], np.int64)[place]
    _, first, same = np.unique(
        (home * len(Role) + role) * len(Carrier) + carrier, return_index=True, return_inverse=True
    )
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    interval_s = np.array([INTERVAL_S[r] for r in Role])[role]
    key = places.key[place]
    mixed = mar_intervals(world.draws, key, carrier)
    return Population(
        role,
        place,
        carrier,
        technology,
        device=number[same],
        interval_s=np.where(role == Role.SENSOR, mixed, interval_s),
        firmware=choose_firmware(world.draws, key, carrier, role > Role.DRIVE),
        label=label,
    )
