"""Where each segment lies on its corridor, and how a drive tester moves along it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from simulators.devices import corridor_of
from simulators.draws import Draws, Floats
from simulators.places import Ints, Places

_ALONG = 0.6
"""A sample lies in the middle 600 m of its kilometre, so that no other segment is nearer."""

_GAP_DEGREES = 0.02
"""Middles of neighbours farther apart than that: the corridor has a gap here."""


class Route:
    """Segments as stops of their corridors; any other place is the only stop of its own."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._stop, self._stops = np.zeros(len(places), np.int64), np.ones(len(places), np.int64)
        self._east, self._north = np.zeros(len(places)), np.zeros(len(places))
        corridors: defaultdict[str, list[int]] = defaultdict(list)
        for row in np.flatnonzero(places.is_segment).tolist():
            corridors[corridor_of(places.code[row])].append(row)
        for rows in corridors.values():
            self._add(sorted(rows, key=lambda row: places.code[row]))

    def _add(self, rows: list[int]) -> None:
        self._stop[rows], self._stops[rows] = np.arange(len(rows)), len(rows)
        if len(rows) > 1:
            self._east[rows] = np.gradient(self._places.lon[rows])
            self._north[rows] = np.gradient(self._places.lat[rows])

    def position(self, place: Ints) -> tuple[Ints, Ints]:
        """Which stop of its corridor each place is, and how many stops that has."""
        return self._stop[place], self._stops[place]

    def coordinates(self, draws: Draws, place: Ints, times: Ints) -> dict[str, Floats]:
        """Longitude and latitude of samples; shapes as in `simulators.samples`."""
        along = _ALONG * (draws.uniform("along", self._places.key[place], times) - 0.5)
        east, north = self._east[place], self._north[place]
        along = np.where(np.hypot(east, north) < _GAP_DEGREES, along, 0.0)
        return {
            "lon": self._places.lon[place] + along * east,
            "lat": self._places.lat[place] + along * north,
        }
