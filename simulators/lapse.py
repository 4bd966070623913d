"""The plan in fast motion: what the devices measure in each month of the roll-out, as messages.

In a month a device measures in a few sessions on different days, each within an hour, and sends
all of it in one message: as much as goals ask for, and few rows in the hourly roll-ups. Sessions
lie on the 1st … 28th, so the 30 days before the end of a month hold no other month's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np

from simulators.area_faults import AreaFaults
from simulators.devices import NARROWBAND, Population, Role
from simulators.measure import Instruments
from simulators.messages import Message
from simulators.places import Bools, Ints
from simulators.rollout import month_of
from simulators.world import World
from simulators.writing import Writer

AT_ONCE = 2_000
"""Reporters whose messages are made together: some 100,000 samples."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_LAST_DAY = 28


class Sessions(NamedTuple):
    """How often a device measures in a month: sessions, and samples in each."""

    sessions: int
    samples: int


SESSIONS = {
    **dict.fromkeys(NARROWBAND, Sessions(4, 10)),
    Role.PROBE: Sessions(4, 20),  # half of them 4G, half 5G
    Role.STATION: Sessions(4, 10),
    Role.LINE: Sessions(4, 3),
    Role.DRIVE: Sessions(1, 28),  # half of them 4G; a goal looks at three months together
}
"""With 40 samples near a threshold a county's share is known to a percentage point or so."""


class Month(NamedTuple):
    """A month of the calendar, of which ``first`` … ``last`` (days, inclusive) are simulated."""

    first: date
    last: date

    @property
    def end(self) -> datetime:
        """When it is over, UTC: the moment to evaluate it."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)


def months_between(first: date, last: date) -> list[Month]:
    """The months from one day to another (inclusive); the first and the last may be parts."""
    found = []
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        found.append(Month(first, min(following - timedelta(days=1), last)))
        first = following
    return found


class Lapse:
    """Months after months: a source for `simulators.fleet.Fleet`.

    Args:
        world: in any month.
        reporters: who measures.
        months: in their order.
        days_per_s: how fast the calendar goes; None: as fast as the broker takes it.
    """

    def __init__(
        self,
        world: World,
        reporters: Population,
        months: list[Month],
        days_per_s: float | None = None,
    ) -> None:
        self._world, self._reporters, self._months = world, reporters, months
        self._days_per_s = days_per_s
        self._route = Instruments(world, reporters, _UNDISTURBED).route
        self._begun_ms = 0
        self._made = self._make()
        self._waiting: list[Message] = []
        self.month = months[0]
        """The one that is published."""
        self.done = 0.0
        """Share of all that was made."""

    def take(self, count: int, now_ms: int) -> list[Message] | None:
        """At most so many of the next messages; None when all were taken."""
        self._begun_ms = self._begun_ms or now_ms
        while len(self._waiting) < count and not self._is_early(now_ms):
            more = next(self._made, None)
            if more is None:
                break
            self._waiting += more
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return None if not taken and self.done == 1 else taken

    def _is_early(self, now_ms: int) -> bool:
        if self._days_per_s is None:
            return False
        days = (self._months[-1].last - self._months[0].first).days + 1
        return self.done * days > (now_ms - self._begun_ms) / 1000 * self._days_per_s

    def _make(self) -> Iterator[list[Message]]:
        size = len(self._reporters)
        for number, month in enumerate(self._months):
            world = self._world.at(month_of(month.first))
            self.month = month
            instruments = Instruments(world, self._reporters, _UNDISTURBED)
            writer = Writer(world, self._reporters, with_frames=False)
            for start in range(0, size, AT_ONCE):
                rows = np.arange(start, min(start + AT_ONCE, size))
                rows = rows[self._measures(world, rows)]
                reports = instruments.reports(rows, partial(self._times_of, rows, month))
                yield [
                    writer.message(row, stream, samples)
                    for row, report in zip(rows.tolist(), reports, strict=True)
                    for stream, samples in report.items()
                    if stream != "reading"
                ]
                self.done = (number + min(start + AT_ONCE, size) / size) / len(self._months)

    def _measures(self, world: World, rows: Ints) -> Bools:
        """All but probes on a line that is not there yet."""
        who = self._reporters
        technology = world.fixed.technology[who.place[rows], who.carrier[rows]]
        return np.asarray((who.role[rows] != Role.LINE) | (technology > 0))

    def _times_of(self, rows: Ints, month: Month, role: Role, where: Ints) -> Ints:
        return self._times(role, rows[where], month)

    def _times(self, role: Role, rows: Ints, month: Month) -> Ints:
        """When each reporter measures: (rows, samples), ascending, in milliseconds.

        Within a session each sample has its own part of the hour; of a drive tester, which is many
        reporters, each kilometre has its own part of that.
        """
        plan, who, draws = SESSIONS[role], self._reporters, self._world.draws
        keys = (
            self._world.places.key[who.place[rows]][:, None],
            who.carrier[rows][:, None],
            month.first.toordinal(),
            np.arange(plan.sessions),
        )
        days = max(min(month.last.day, _LAST_DAY) - month.first.day + 1, 1)
        # In the second half of its part of the month: the last session is fresh at the month's end.
        within_part = (1 + draws.uniform("lapse/day", *keys)) / 2
        day = (np.arange(plan.sessions) + within_part) / plan.sessions * days
        hour = draws.uniform("lapse/hour", *keys) * 24
        midnight = datetime.combine(month.first, time(), UTC)
        begin = int(midnight.timestamp()) * 1000 + np.floor(day) * _DAY_MS
        begin += np.floor(hour) * _HOUR_MS
        part = _HOUR_MS // plan.samples
        stop, stops = self._route.position(who.place[rows])
        within = part * (stop + 0.5) / stops if role == Role.DRIVE else np.full(len(rows), part / 2)
        times = begin[:, :, None] + np.arange(plan.samples) * part + within[:, None, None]
        return times.reshape(len(rows), -1).astype(np.int64)


_UNDISTURBED = AreaFaults((), iter(()))
