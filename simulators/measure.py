"""What reporters measure at given times, as objects of the message contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from shudao.streams import StreamName
from shudao.vocabulary import Technology
from simulators.area_faults import AreaFaults
from simulators.devices import NARROWBAND, Population, Role
from simulators.draws import Floats
from simulators.habits import battery_percent
from simulators.messages import (
    Sample,
    broadband_objects,
    radio_objects,
    reading_objects,
)
from simulators.places import Bools, Ints
from simulators.route import Route
from simulators.samples import Columns, broadband_samples, radio_samples
from simulators.sensors import MAINS, SENSORS
from simulators.world import World

BOTH_GENERATIONS = (Role.PROBE, Role.DRIVE)
"""Who measures 4G and 5G."""

Report = Mapping[StreamName, list[Sample]]
"""What one reporter measured, by stream."""


class Instruments:
    """Measures in a world that area faults disturb."""

    def __init__(self, world: World, reporters: Population, areas: AreaFaults) -> None:
        self._world, self._reporters, self._areas = world, reporters, areas
        self.route = Route(world.places)

    def reports(self, rows: Ints, times: Callable[[Role, Ints], Ints]) -> list[Report]:
        """One report for each reporter.

        ``times`` gives the times in ms, shape (n, k), for n positions in ``rows`` of one role.
        """
        made: dict[int, Report] = {}
        roles = self._reporters.role[rows]
        for role in [Role(r) for r in np.unique(roles)]:
            where = np.flatnonzero(roles == role)
            found = self._of_role(role, rows[where], times(role, where))
            made |= zip(where.tolist(), found, strict=True)
        return [made[i] for i in range(len(rows))]

    def _of_role(self, role: Role, rows: Ints, times: Ints) -> Iterator[Report]:
        place = self._reporters.place[rows][:, None]
        carrier = self._reporters.carrier[rows][:, None]
        width = times.shape[1]
        if role == Role.LINE:
            tests = self._lines(rows, place, carrier, times)
            return ({"broadband": of_one} for of_one in _in_parts(tests, width))
        signal = _in_parts(self._radio(role, place, carrier, times), width)
        if role not in SENSORS:
            return ({"radio": of_one} for of_one in signal)
        read = self._readings(role, rows, times)
        own = _in_parts(read, len(read) // len(rows))
        return ({"radio": a, "reading": b} for a, b in zip(signal, own, strict=True))

    def _lines(self, rows: Ints, place: Ints, carrier: Ints, times: Ints) -> list[Sample]:
        """A probe on a line that was replaced names what it is on now."""
        columns = broadband_samples(self._world, place, carrier, times)
        county = self._world.places.county[place]
        columns = self._areas.slow_lines(columns, county, carrier, times)
        now = self._world.fixed.technology[place, carrier]
        own = self._reporters.technology[rows][:, None]
        names = [
            None if is_own else Technology(number).name.lower()
            for number, is_own in zip(now[:, 0].tolist(), (now == own)[:, 0].tolist(), strict=True)
            for _ in range(times.shape[1])
        ]
        return broadband_objects(_flat(columns, times), times.ravel().tolist(), names)

    def _radio(self, role: Role, place: Ints, carrier: Ints, times: Ints) -> list[Sample]:
        """A probe names the technology of each sample: it is not always the device's own."""
        technology = Technology.NBIOT if role in NARROWBAND else Technology.LTE
        columns = dict(radio_samples(self._world, technology, place, carrier, times))
        names: list[str | None] = [None] * times.size
        if role in BOTH_GENERATIONS:
            is_nr = self._is_nr(place, carrier, times)
            nr = radio_samples(self._world, Technology.NR, place, carrier, times)
            columns = {name: np.where(is_nr, nr[name], lte) for name, lte in columns.items()}
            names = ["nr" if found else None for found in is_nr.ravel().tolist()]
        if role == Role.DRIVE:
            columns |= self.route.coordinates(self._world.draws, place, times)
        county = self._world.places.county[place]
        weakened = self._areas.weaken_radio(columns, county, carrier, times)
        return radio_objects(_flat(weakened, times), times.ravel().tolist(), names)

    def _is_nr(self, place: Ints, carrier: Ints, times: Ints) -> Bools:
        """They measure 4G and 5G by turns; of single samples every other one by chance."""
        if times.shape[1] > 1:
            return np.broadcast_to(np.arange(times.shape[1]) % 2 == 1, times.shape)
        key = self._world.places.key[place]
        return np.asarray(self._world.draws.uniform("which", key, carrier, times) < 0.5)

    def _readings(self, role: Role, rows: Ints, times: Ints) -> list[Sample]:
        """A sensor's own metrics; every carrier's sensor at a place is another one."""
        who, draws = self._reporters, self._world.draws
        key = draws.bits("sensor", self._world.places.key[who.place[rows]], who.carrier[rows])
        key = key[:, None]
        columns = {name: model(draws, key, times) for name, model in SENSORS[role].items()}
        if role not in MAINS:
            interval_s = who.interval_s[rows][:, None]
            columns["battery"] = battery_percent(draws, interval_s, key, times)
        return reading_objects(_flat(columns, times), times.ravel().tolist())


def _in_parts(objects: list[Sample], width: int) -> Iterator[list[Sample]]:
    return (objects[i : i + width] for i in range(0, len(objects), width))


def _flat(columns: Columns, times: Ints) -> dict[str, Floats]:
    """Columns with one entry for each sample."""
    return {name: np.broadcast_to(v, times.shape).ravel() for name, v in columns.items()}
