"""What is published, in which order: a sequence of messages that the seed fixes, without I/O.

Each reporter's first report is its stored history: an array of samples over the last days. Later
ones are fresh, one sample of each stream: reporter after reporter in the fair order for ever, or
each in its own rhythm (`simulators.schedule`). The same seed, start and clock give the same bytes.
A device never sends two samples of one instant: its history lies on even milliseconds before the
start, fresh samples on odd ones after, or on whole seconds where its format knows no others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from shudao.streams import StreamName
from simulators.area_faults import AreaFaults, by_chance
from simulators.devices import Population, Role
from simulators.fault_log import FaultLog
from simulators.faults import FaultInjector, Faults
from simulators.habits import RETRY_MS, UNANSWERED, clock_offset_ms
from simulators.measure import BOTH_GENERATIONS, Instruments
from simulators.messages import Message, RadioSample, Sample
from simulators.places import Ints
from simulators.schedule import Schedule
from simulators.world import World
from simulators.writing import Writer

RADIO_HISTORY, BROADBAND_HISTORY = 21, 6
"""Samples in a stored history: with 21, one bad sample still leaves the 95 % that goals ask."""

HISTORY = {Role.LINE: BROADBAND_HISTORY} | dict.fromkeys(BOTH_GENERATIONS, 2 * RADIO_HISTORY)
BURST = 3
"""A drive tester takes so many samples of a kilometre, then those of the next one."""

SHORTEST_HISTORY_MS = 120_000
"""In two minutes, the tester of the longest corridor still has 4 ms for each sample."""


class Traffic:
    """An endless sequence of messages.

    Args:
        world: what there is to measure.
        reporters: who measures, in the order of first reports.
        start_ms: when the simulation starts; histories end here.
        history_ms: how far they reach back, two minutes or more; 0 sends none.
        faults: what goes wrong.
        natural: whether each device reports in its own rhythm; else they take turns.
        log: where faults of areas and devices are written.
    """

    def __init__(
        self,
        world: World,
        reporters: Population,
        *,
        start_ms: int,
        history_ms: int,
        faults: Faults | None = None,
        natural: bool = False,
        log: FaultLog | None = None,
    ) -> None:
        faults = faults or Faults()
        self._draws, self._reporters = world.draws, reporters
        self._county = world.places.county[reporters.place]
        self._keys = world.places.key[reporters.place], reporters.carrier, reporters.role
        self._start_ms, self._history_ms = start_ms, history_ms
        self._log, self._flood, self._flooded_ms = log or FaultLog(None), faults.flood, start_ms
        chance = by_chance(world.draws, faults.areas_per_hour, self._county, start_ms)
        given = tuple(fault.after(start_ms) for fault in faults.areas)
        self._areas = AreaFaults(given, chance)
        self._instruments = Instruments(world, reporters, self._areas)
        self._writer = Writer(world, reporters, with_frames=natural)
        self._schedule: Schedule | None = None
        if natural:
            route = self._instruments.route
            self._schedule = Schedule(world, reporters, route, after_ms=start_ms)
        self._faults = FaultInjector(world.draws, faults)
        self._is_silent = self._faults.is_silent(reporters.device)
        self._wrong_ms = self._faults.clock_error_ms(reporters.device, start_ms)
        self._is_new = np.full(len(reporters), history_ms > 0)
        self._kept: defaultdict[int, dict[tuple[int, StreamName], list[Sample]]] = defaultdict(dict)
        """What devices measured without backhaul: by its end, then by row and stream."""
        self._noted: set[str] = set()
        self.next = 0
        """How many reporters had their turn; it goes on after the last one."""
        self.ready = len(reporters)
        """How many may have their turn: those that are registered already."""
        self._last_ms = np.full(int(reporters.device.max(initial=0)) + 1, start_ms | 1, np.int64)

    def take(self, count: int, now_ms: int) -> list[Message]:
        """The next messages, of about ``count`` reports; those of faults come on top."""
        for begun in self._areas.move_to(now_ms):
            self._log.area(begun)
        rows, times = self._due(count, now_ms)
        is_new = self._is_new[rows]
        self._is_new[rows] = False
        stored = self._histories(rows[is_new], now_ms)
        fresh = self._measured_without_backhaul(now_ms)
        fresh += self._fresh(rows[~is_new], times[~is_new], now_ms)
        fresh += self._flooding(now_ms)
        messages = list(self._faults.inject(stored, now_ms, may_be_late=False))
        return messages + list(self._faults.inject(fresh, now_ms, may_be_late=True))

    def _due(self, count: int, now_ms: int) -> tuple[Ints, Ints]:
        """Whose turn it is, and the moments at which they measure."""
        if self._schedule:
            self.next = self.ready
            return self._schedule.take(count, now_ms, self.ready)
        size = len(self._reporters)
        turns = np.arange(self.next, self.next + count)
        if self.next < size:
            turns = turns[turns < self.ready]
        self.next += len(turns)
        return turns % size, np.full(len(turns), now_ms)

    def _histories(self, rows: Ints, now_ms: int) -> list[Message]:
        """What each reporter stored; it comes when its backhaul is there."""
        reports = self._instruments.reports(
            rows, lambda role, where: self._history_times(role, rows[where])
        )
        shuffled = self._faults.is_shuffled(self._reporters.device[rows]).tolist()
        messages = []
        for row, report, mix in zip(rows.tolist(), reports, shuffled, strict=True):
            back_ms = self._cut_off_until(row, now_ms)
            for stream, body in report.items():
                if mix:
                    drawn = self._draws.uniform("shuffle", row, np.arange(len(body)))
                    body = [body[i] for i in np.argsort(drawn).tolist()]
                message = self._writer.message(row, stream, body)
                message.fault = "shuffled" if mix else ""
                if back_ms > now_ms:
                    self._faults.hold(message, back_ms)
                else:
                    messages.append(message)
        return messages

    def _history_times(self, role: Role, rows: Ints) -> Ints:
        """Times of stored samples, shape (n, k): evenly spread, with a phase of the device's own.

        The samples of a drive tester are spread over its corridor: a burst at each stop.
        """
        count = HISTORY.get(role, RADIO_HISTORY)
        place = self._reporters.place[rows]
        stop, stops = (x[:, None] for x in self._instruments.route.position(place))
        passes, burst = np.divmod(np.arange(count), BURST)
        index = (passes * stops + stop) * BURST + burst
        phase = self._draws.uniform("phase", self._reporters.device[rows])[:, None]
        ago = self._history_ms * (1 - (index + phase) / (count * stops))
        times = (self._start_ms - np.ceil(ago).astype(np.int64)) & ~1
        return np.where(times % 1000 == 0, times - 2, times)

    def _fresh(self, rows: Ints, moments: Ints, now_ms: int) -> list[Message]:
        """A message of each stream for each reporter that is neither silent nor cut off."""
        for row in rows[self._is_silent[rows]].tolist():
            self._note_silent(row)
        heard = ~self._is_silent[rows]
        rows, moments = rows[heard], moments[heard]
        times = self._times(rows, moments)[:, None]
        messages = []
        reports = self._instruments.reports(rows, lambda _, where: times[where])
        for row, moment, report in zip(rows.tolist(), moments.tolist(), reports, strict=True):
            back_ms = self._cut_off_until(row, moment)
            for stream, body in report.items():
                if back_ms > now_ms:
                    self._kept[back_ms].setdefault((row, stream), []).extend(body)
                else:
                    message = self._message(row, stream, body)
                    messages += self._until_answered(row, message, body[0], now_ms)
        return messages

    def _times(self, rows: Ints, moments: Ints) -> Ints:
        """The time of each sample by the device's clock: later than that of its last one."""
        if self._schedule:
            moments = moments + clock_offset_ms(self._draws, *(k[rows] for k in self._keys))
        times = []
        devices = self._reporters.device[rows].tolist()
        for row, device, moment in zip(rows.tolist(), devices, moments.tolist(), strict=True):
            last, form = int(self._last_ms[device]), self._writer.format_of(row)
            time = max(moment | 1, last + 1 | 1)
            if form and form.resolution_ms > 1 and moment // 1000 * 1000 > last:
                time = moment // 1000 * 1000
            self._last_ms[device] = time
            times.append(time)
        return np.array(times, np.int64) + self._wrong_ms[rows]

    def _message(self, row: int, stream: StreamName, body: list[Sample]) -> Message:
        message = self._writer.message(row, stream, body)
        if self._wrong_ms[row]:
            message.kind, message.fault = "malformed", "clock"
        return message

    def _until_answered(
        self, row: int, message: Message, sample: Sample, now_ms: int
    ) -> list[Message]:
        """What arrives now; after a time-out the device sends again, what was lost or what was
        only not answered."""
        ecl = sample.ecl if isinstance(sample, RadioSample) else None
        if not self._schedule or ecl is None or message.kind != "valid":
            return [message]
        keys = (key[row] for key in self._keys)
        drawn = float(self._draws.uniform("habit/answer", *keys, sample.time)[0])
        if drawn >= UNANSWERED[ecl]:
            return [message]
        is_lost = drawn < UNANSWERED[ecl] / 2
        again = message if is_lost else replace(message, kind="duplicate")
        self._faults.hold(again, now_ms + RETRY_MS)
        return [] if is_lost else [message]

    def _cut_off_until(self, row: int, moment: int) -> int:
        county, carrier = int(self._county[row]), int(self._reporters.carrier[row])
        return self._areas.cut_off_until(county, carrier, moment)

    def _measured_without_backhaul(self, now_ms: int) -> list[Message]:
        """One batch for each device and stream whose backhaul is back."""
        back = [ms for ms in self._kept if ms <= now_ms]
        kept = [item for ms in back for item in self._kept.pop(ms).items()]
        return [self._message(row, stream, body) for (row, stream), body in kept]

    def _flooding(self, now_ms: int) -> list[Message]:
        """The first reporter's flood since the last call, once it has reported."""
        begun = max(self._flooded_ms, now_ms - 1000)
        count = int((now_ms - begun) * self._flood / 1000)
        if not count or self._is_new[0]:
            return []
        self._flooded_ms = now_ms
        rows, moments = np.zeros(count, np.int64), np.full(count, now_ms)
        return [replace(m, fault="flood") for m in self._fresh(rows, moments, now_ms)]

    def _note_silent(self, row: int) -> None:
        """Log a device that would have reported, once."""
        name = self._reporters.name(row)
        if name not in self._noted:
            self._noted.add(name)
            carrier, county = int(self._reporters.carrier[row]), int(self._county[row])
            self._log.device("silent", name, carrier, county, self._start_ms)
