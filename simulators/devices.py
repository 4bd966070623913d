"""Who measures: the devices of a world, and the fair order in which they report.

A *reporter* is a device at a place: an NB-IoT sensor, a probe, or a drive tester at one kilometre
of its corridor (a tester is one device with many reporters). Reporters are columns, in the order
of their first report: the devices of a village together, villages shuffled by the seed, one of
each prefecture first. So a part of the population is its beginning, and covers the whole province.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from shudao.vocabulary import Carrier, Technology
from simulators import constants as c
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
    """4G drive tester on one kilometre of its corridor."""


KIND = {
    Role.SENSOR: "sensor",
    Role.PROBE: "probe",
    Role.STATION: "probe",
    Role.LINE: "probe",
    Role.DRIVE: "drive",
}
INTERVAL_S = {
    Role.SENSOR: 86_400,  # the plain meter of TR 45.820 reports daily
    Role.PROBE: 3_600,
    Role.STATION: 3_600,
    Role.LINE: 21_600,
    Role.DRIVE: 60,
}
CARRIER_CODES = tuple(carrier.name.lower() for carrier in Carrier)
_PREFIX = {
    int(Role.SENSOR): "nb",
    int(Role.PROBE): "probe",
    int(Role.STATION): "station",
    int(Role.DRIVE): "drive",
}
_LINE_PREFIX = {
    int(Technology.FTTP): "ftth",
    int(Technology.DSL): "dsl",
    int(Technology.SATELLITE): "sat",
}


@dataclass(frozen=True)
class Population:
    """Reporters as columns of one length.

    ``place`` is a row of `Places`, ``carrier`` 0 … 3, ``technology`` the device's own; reporters
    of one device share the number ``device``, which follows the order of first reports.
    ``label`` is the part of a device's name that says where, by place.
    """

    role: NDArray[np.int8]
    place: Ints
    carrier: Ints
    technology: Ints
    device: Ints
    label: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.role)

    @property
    def devices(self) -> int:
        """How many devices these are."""
        return int(self.device.max(initial=-1) - self.device.min(initial=0)) + 1

    def name(self, row: int) -> str:
        """The name of a reporter's device: ``nb-telecom-510104020007``."""
        prefix = _PREFIX.get(self.role[row]) or _LINE_PREFIX[int(self.technology[row])]
        return f"{prefix}-{CARRIER_CODES[self.carrier[row]]}-{self.label[self.place[row]]}"

    def part(self, start: int, end: int) -> Population:
        """The reporters ``start`` up to but not including ``end``."""
        rows = slice(start, end)
        return Population(
            self.role[rows],
            self.place[rows],
            self.carrier[rows],
            self.technology[rows],
            self.device[rows],
            self.label,
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
    rank = _place_ranks(world)[place]
    order = np.lexsort((carrier, role, rank))
    if share < 1:
        present = np.unique(rank)
        last = present[: max(1, round(share * len(present)))][-1] if len(present) else 0
        order = order[rank[order] <= last]
    chosen = _make(world, role[order], place[order], carrier[order])
    if devices is None:
        return chosen
    too_many = np.append(chosen.device, devices) >= devices
    return chosen.part(0, int(np.argmax(too_many)))


def _all_reporters(world: World) -> tuple[NDArray[np.int8], Ints, Ints]:
    """Role, place and carrier of everything that the world has."""
    places = world.places
    mobile = np.isin(np.arange(len(Carrier)) + 1, MOBILE_CARRIERS)
    settled, every = ~places.is_segment[:, None], np.ones(len(Carrier), np.bool_)
    present: dict[Role, Bools] = {
        Role.SENSOR: settled & every,
        Role.PROBE: settled & mobile,
        Role.STATION: places.is_village[:, None] & mobile,
        Role.LINE: world.fixed.technology > 0,
        Role.DRIVE: places.is_segment[:, None] & mobile,
    }
    where = [np.nonzero(mask) for mask in present.values()]
    role = [np.full(len(place), r, np.int8) for r, (place, _) in zip(present, where, strict=True)]
    place, carrier = (np.concatenate(axis) for axis in zip(*where, strict=True))
    return np.concatenate(role), place, carrier


def _place_ranks(world: World) -> Ints:
    """Rank of each place in the fair order: shuffled, one village of each prefecture first."""
    places = world.places
    shuffled = world.draws.uniform("order", places.key)
    villages = np.flatnonzero(~places.is_segment)
    villages = villages[np.argsort(shuffled[villages])]
    _, first = np.unique(places.prefecture[villages], return_index=True)
    shuffled[villages[first]] -= 1.0
    rank = np.empty(len(places), np.int64)
    rank[np.argsort(shuffled)] = np.arange(len(places))
    return rank


def _make(world: World, role: NDArray[np.int8], place: Ints, carrier: Ints) -> Population:
    """Add technologies, device numbers and labels to ordered reporters."""
    places = world.places
    technology = np.select(
        [role == Role.SENSOR, role == Role.LINE],
        [int(Technology.NBIOT), world.fixed.technology[place, carrier]],
        int(Technology.LTE),
    )
    label = tuple(
        re.sub(r"[^a-z0-9]+", "-", corridor_of(code).lower()) if segment else code
        for code, segment in zip(places.code, places.is_segment.tolist(), strict=True)
    )
    base = {name: row for row, name in enumerate(label)}  # a corridor counts as one place
    home = np.array([base[name] for name in label], np.int64)[place]
    _, first, same = np.unique(
        (home * len(Role) + role) * len(Carrier) + carrier, return_index=True, return_inverse=True
    )
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return Population(role, place, carrier, technology, number[same], label)
