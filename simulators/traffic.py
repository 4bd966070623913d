"""What is published, in which order: a sequence of messages that the seed fixes, without I/O.

Each reporter's first message is its stored history: an array of samples over the last days.
Later messages are single fresh samples, reporter after reporter in the fair order, for ever.
The same seed, start and clock give the same bytes. A device never sends two samples of one
instant: its history lies on even milliseconds before the start, fresh samples on odd ones after.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shudao.streams import topic
from shudao.vocabulary import Technology
from simulators.devices import CARRIER_CODES, Population, Role
from simulators.draws import Floats
from simulators.faults import FaultInjector, Faults
from simulators.messages import Message, Sample, broadband_objects, encode, radio_objects
from simulators.places import Bools, Ints
from simulators.route import Route
from simulators.samples import Columns, broadband_samples, radio_samples
from simulators.world import World

RADIO_HISTORY, BROADBAND_HISTORY = 21, 6
"""Samples in a stored history: with 21, one bad sample still leaves the 95 % that goals ask."""

HISTORY = {Role.LINE: BROADBAND_HISTORY, Role.PROBE: 2 * RADIO_HISTORY}
BURST = 3
"""A drive tester takes so many samples of a kilometre, then those of the next one."""

SHORTEST_HISTORY_MS = 60_000
"""In a minute, the tester of the longest corridor still has 4 ms for each sample."""


class Traffic:
    """An endless sequence of messages.

    Args:
        world: what there is to measure.
        reporters: who measures, in the order of first reports.
        start_ms: when the simulation starts; histories end here.
        history_ms: how far they reach back, a minute or more; 0 sends none.
        faults: what goes wrong.
    """

    def __init__(
        self,
        world: World,
        reporters: Population,
        *,
        start_ms: int,
        history_ms: int,
        faults: Faults | None = None,
    ) -> None:
        self._world, self._reporters = world, reporters
        self._start_ms, self._history_ms = start_ms, history_ms
        self._route = Route(world.places)
        self._faults = FaultInjector(world.draws, faults or Faults())
        self.next = 0
        """How many reporters had their turn; it goes on after the last one."""
        self.ready = len(reporters)
        """How many may have their turn: those that are registered already."""
        self._last_ms = np.full(int(reporters.device.max(initial=0)) + 1, start_ms | 1, np.int64)

    def take(self, count: int, now_ms: int) -> list[Message]:
        """The next messages, about ``count``: malformed ones and duplicates come on top."""
        size = len(self._reporters)
        turns = np.arange(self.next, self.next + count)
        first = self.next < size
        if first:
            turns = turns[turns < self.ready]
        self.next += len(turns)
        stored = first and self._history_ms > 0
        messages = self._messages(turns % size, None if stored else now_ms)
        return list(self._faults.inject(messages, now_ms, may_be_late=not stored))

    def _messages(self, rows: Ints, now_ms: int | None) -> list[Message]:
        """One message for each reporter: histories where ``now_ms`` is None."""
        made: dict[int, Message] = {}
        roles = self._reporters.role[rows]
        for role in [Role(r) for r in np.unique(roles)]:
            where = np.flatnonzero(roles == role)
            bodies: Iterator[Sample | list[Sample]]
            if now_ms is None:
                bodies = self._histories(role, rows[where])
            else:
                fresh = self._samples(role, rows[where], self._fresh_times(rows[where], now_ms))
                bodies = (samples[0] for samples in fresh)
            for i, row, body in zip(where.tolist(), rows[where].tolist(), bodies, strict=True):
                made[i] = self._message(row, body)
        return [made[i] for i in range(len(rows))]

    def _message(self, row: int, body: Sample | list[Sample]) -> Message:
        who = self._reporters
        carrier = int(who.carrier[row])
        stream = "broadband" if who.role[row] == Role.LINE else "radio"
        prefecture = int(self._world.places.county[who.place[row]]) // 100
        name = topic(CARRIER_CODES[carrier], stream, who.name(row))
        samples = len(body) if isinstance(body, list) else 1
        return Message(name, encode(body), samples, "valid", prefecture, carrier)

    def _histories(self, role: Role, rows: Ints) -> Iterator[Sample | list[Sample]]:
        shuffled = self._faults.is_shuffled(rows)
        histories = self._samples(role, rows, self._history_times(role, rows))
        for row, samples, mix in zip(rows.tolist(), histories, shuffled, strict=True):
            if mix:
                drawn = self._world.draws.uniform("shuffle", row, np.arange(len(samples)))
                samples = [samples[i] for i in np.argsort(drawn).tolist()]
            yield samples

    def _history_times(self, role: Role, rows: Ints) -> Ints:
        """Times of stored samples, shape (n, k): evenly spread, with a phase of the device's own.

        The samples of a drive tester are spread over its corridor: a burst at each stop.
        """
        count = HISTORY.get(role, RADIO_HISTORY)
        stop, stops = (x[:, None] for x in self._route.position(self._reporters.place[rows]))
        passes, burst = np.divmod(np.arange(count), BURST)
        index = (passes * stops + stop) * BURST + burst
        phase = self._world.draws.uniform("phase", self._reporters.device[rows])[:, None]
        ago = self._history_ms * (1 - (index + phase) / (count * stops))
        return (self._start_ms - np.ceil(ago).astype(np.int64)) & ~1

    def _fresh_times(self, rows: Ints, now_ms: int) -> Ints:
        """The time of each new sample, shape (n, 1): now, but later than the device's last one."""
        times = []
        for device in self._reporters.device[rows].tolist():
            self._last_ms[device] = max(now_ms | 1, int(self._last_ms[device]) + 2)
            times.append(int(self._last_ms[device]))
        return np.array(times, np.int64)[:, None]

    def _samples(self, role: Role, rows: Ints, times: Ints) -> Iterator[list[Sample]]:
        """The samples of each reporter at its times."""
        place = self._reporters.place[rows][:, None]
        carrier = self._reporters.carrier[rows][:, None]
        flat_times: list[int] = times.ravel().tolist()
        if role == Role.LINE:
            columns = broadband_samples(self._world, place, carrier, times)
            objects = broadband_objects(_flat(columns, times), flat_times)
        else:
            columns, names = self._radio(role, place, carrier, times)
            objects = radio_objects(_flat(columns, times), flat_times, names)
        width = times.shape[1]
        return (objects[i : i + width] for i in range(0, len(objects), width))

    def _radio(
        self, role: Role, place: Ints, carrier: Ints, times: Ints
    ) -> tuple[Columns, list[str | None]]:
        """Columns, and the technology of each sample where it is not the device's own."""
        technology = Technology.NBIOT if role == Role.SENSOR else Technology.LTE
        columns = dict(radio_samples(self._world, technology, place, carrier, times))
        names: list[str | None] = [None] * times.size
        if role == Role.DRIVE:
            columns |= self._route.coordinates(self._world.draws, place, times)
        if role == Role.PROBE:
            is_nr = self._is_nr(place, carrier, times)
            nr = radio_samples(self._world, Technology.NR, place, carrier, times)
            columns = {name: np.where(is_nr, nr[name], lte) for name, lte in columns.items()}
            names = ["nr" if found else None for found in is_nr.ravel().tolist()]
        return columns, names

    def _is_nr(self, place: Ints, carrier: Ints, times: Ints) -> Bools:
        """A probe measures 4G and 5G by turns; of single samples every other one by chance."""
        if times.shape[1] > 1:
            return np.broadcast_to(np.arange(times.shape[1]) % 2 == 1, times.shape)
        key = self._world.places.key[place]
        return np.asarray(self._world.draws.uniform("which", key, carrier, times) < 0.5)


def _flat(columns: Columns, times: Ints) -> dict[str, Floats]:
    """Columns with one entry for each sample."""
    return {name: np.broadcast_to(v, times.shape).ravel() for name, v in columns.items()}
