"""Outages and regressions: what goes wrong with one carrier in one area for a time.

- ``outage``: the cells are off air. NB-IoT, 4G and 5G devices report that they found none.
- ``backhaul``: nothing gets through. Devices go on measuring, and send all of it when it is over.
- ``regression``: signal is `REGRESSION_DB` weaker, lines have a tenth of their rate.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from shudao.vocabulary import Carrier
from simulators import constants as c
from simulators.draws import Draws, Floats
from simulators.places import Bools, Ints
from simulators.propagation import full_load_rsrq, thermal_sinr
from simulators.samples import Columns

What = Literal["outage", "backhaul", "regression"]
KINDS: tuple[What, ...] = ("outage", "backhaul", "regression")

REGRESSION_DB = 25.0
"""A tilted or a dead antenna: from good coverage to the edge."""
REGRESSION_RATE = 0.1

_MEDIAN_S, _SPREAD = 600.0, 1.0
"""Length of a fault by chance: log-normal, ten minutes in the median, of which one in ten takes
more than half an hour. Ours."""

_REMEMBERED_MS = 3_600_000


@dataclass(frozen=True, slots=True, order=True)
class AreaFault:
    """One fault; ``carrier`` 0 … 3, ``area`` the first two, four or six digits of an NBS code,
    times in ms: from the first to just before the second."""

    from_ms: int
    to_ms: int
    what: What
    carrier: int
    area: str

    def after(self, start_ms: int) -> AreaFault:
        """The same so much later."""
        return replace(self, from_ms=start_ms + self.from_ms, to_ms=start_ms + self.to_ms)

    def hits(self, county: ArrayLike, carrier: ArrayLike, time_ms: ArrayLike) -> Bools:
        """Which measurements it touches; shapes broadcast together."""
        there = np.asarray(county) // 10 ** (6 - len(self.area)) == int(self.area)
        time_ms = np.asarray(time_ms)
        now = (self.from_ms <= time_ms) & (time_ms < self.to_ms)
        return np.asarray(there & (np.asarray(carrier) == self.carrier) & now)


def by_chance(draws: Draws, per_hour: float, counties: Ints, start_ms: int) -> Iterator[AreaFault]:
    """Endless faults in the order in which they begin, so many in an hour; none for 0."""
    begin, counties = float(start_ms), np.unique(counties)
    for serial in count() if per_hour else ():
        u = draws.uniform("fault/area", serial, np.arange(4))
        begin -= 3_600_000 / per_hour * np.log(u[0])
        length = 1000 * _MEDIAN_S * np.exp(_SPREAD * draws.normal("fault/length", serial)[0])
        yield AreaFault(
            int(begin),
            int(begin + length),
            KINDS[int(u[1] * len(KINDS))],
            int(u[2] * len(Carrier)),
            str(counties[int(u[3] * len(counties))]),
        )


class AreaFaults:
    """The faults of a run as time passes.

    Args:
        given: faults that were asked for.
        chance: others, as of `by_chance`.
    """

    def __init__(self, given: tuple[AreaFault, ...], chance: Iterator[AreaFault]) -> None:
        self._coming = heapq.merge(sorted(given), chance)
        self._next = next(self._coming, None)
        self.active: list[AreaFault] = []

    def move_to(self, now_ms: int) -> list[AreaFault]:
        """Let time pass; the faults that began meanwhile."""
        begun = []
        while self._next and self._next.from_ms <= now_ms:
            begun.append(self._next)
            self._next = next(self._coming, None)
        # A report may be of a moment that is over: devices wait for their turn.
        self.active = [f for f in self.active + begun if f.to_ms > now_ms - _REMEMBERED_MS]
        return begun

    def cut_off_until(self, county: int, carrier: int, time_ms: int) -> int:
        """When the backhaul of a device is back; 0 where it is not cut."""
        ends = (f.to_ms for f in self._of("backhaul") if f.hits(county, carrier, time_ms))
        return max(ends, default=0)

    def weaken_radio(self, columns: Columns, county: Ints, carrier: Ints, time_ms: Ints) -> Columns:
        """The radio stream as these faults leave it; shapes as in `simulators.samples`."""
        loss = np.zeros(time_ms.shape)
        for f in self._of("regression", "outage"):
            db = REGRESSION_DB if f.what == "regression" else np.inf
            loss = np.where(f.hits(county, carrier, time_ms), np.maximum(loss, db), loss)
        return _weaker(columns, loss) if loss.any() else columns

    def slow_lines(self, columns: Columns, county: Ints, carrier: Ints, time_ms: Ints) -> Columns:
        """The broadband stream as these faults leave it."""
        slow: Bools = np.zeros(time_ms.shape, np.bool_)
        for f in self._of("regression"):
            slow |= f.hits(county, carrier, time_ms)
        factor = np.where(slow, REGRESSION_RATE, 1.0)
        return {**columns, **{n: columns[n] * factor for n in ("down_mbps", "up_mbps")}}

    def _of(self, *kinds: What) -> Iterator[AreaFault]:
        return (f for f in self.active if f.what in kinds)


def _weaker(columns: Columns, loss_db: Floats) -> Columns:
    """A radio stream after a loss; nothing is left below the level at which devices find a cell."""
    rsrp = columns["rsrp_dbm"] - loss_db
    sinr = np.minimum(columns["sinr_db"], thermal_sinr(rsrp))
    found = rsrp >= c.DETACHED_BELOW_DBM
    weaker = {**columns, "rsrp_dbm": rsrp, "sinr_db": np.maximum(sinr, -20.0)}
    weaker["rsrq_db"] = full_load_rsrq(weaker["sinr_db"])
    if "ecl" in columns:
        level = sum((rsrp < t).astype(np.float64) for t in c.ECL_THRESHOLDS_DBM)
        weaker["ecl"] = np.maximum(columns["ecl"], level)
        weaker["tx_power_dbm"] = np.minimum(columns["tx_power_dbm"] + loss_db, c.UPLINK_MAX_DBM)
    where = (loss_db > 0) & ~found
    left = {n: np.where(where, np.nan, v) for n, v in weaker.items() if n not in ("lon", "lat")}
    return {**weaker, **left, "attached": np.where(where, 0.0, columns["attached"])}
