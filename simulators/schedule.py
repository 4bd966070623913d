"""Each device's own rhythm: when the next report of whom is due."""

from __future__ import annotations

import numpy as np

from simulators.devices import Population, Role
from simulators.habits import MOST_JITTER_MS
from simulators.places import Ints
from simulators.route import Route
from simulators.world import World

KILOMETRE_MS = 60_000
"""A drive tester passes one in a minute."""


class Schedule:
    """Reports of a population after an instant, each once.

    A device reports once in each of its intervals, at a phase of its own, and a little later by
    chance. A drive tester reports at one kilometre after the other, from end to end.
    """

    def __init__(self, world: World, reporters: Population, route: Route, *, after_ms: int) -> None:
        place, carrier = reporters.place, reporters.carrier
        stop, stops = route.position(place)
        is_drive = reporters.role == Role.DRIVE
        self._draws = world.draws
        self._keys = (world.places.key[place], carrier, reporters.role)
        self._interval_ms = np.where(is_drive, KILOMETRE_MS * stops, 1000 * reporters.interval_s)
        phase = self._draws.uniform("habit/phase", *self._keys)
        self._phase_ms = np.where(
            is_drive, KILOMETRE_MS * stop, (phase * self._interval_ms).astype(np.int64)
        )
        self._most_ms = np.where(is_drive, 0, np.minimum(self._interval_ms // 10, MOST_JITTER_MS))
        self._turn = (after_ms - self._phase_ms) // self._interval_ms + 1
        self.due_ms = self._due(np.arange(len(reporters)))

    def take(self, count: int, now_ms: int, ready: int) -> tuple[Ints, Ints]:
        """Rows of at most ``count`` of the first ``ready`` reporters whose report is due, the
        earliest first, and when it was due."""
        rows = np.flatnonzero(self.due_ms[:ready] <= now_ms)
        rows = rows[np.argsort(self.due_ms[rows], kind="stable")][:count]
        due = self.due_ms[rows]
        self._turn[rows] += 1
        self.due_ms[rows] = self._due(rows)
        return rows, due

    def _due(self, rows: Ints) -> Ints:
        turn = self._turn[rows]
        jitter = self._draws.uniform("habit/jitter", *(k[rows] for k in self._keys), turn)
        nominal = turn * self._interval_ms[rows] + self._phase_ms[rows]
        return nominal + (jitter * self._most_ms[rows]).astype(np.int64)
