"""Estimates from samples beside the truth of the world that they were drawn from.

The truth of a goal whose window spans several months is that of their mean: its evidence is all of
them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from shudao.evaluation.estimate import any_carrier, covered_chance, estimate
from shudao.goals import Goal
from shudao.vocabulary import ANY_CARRIER, Carrier
from simulators.draws import Floats
from simulators.places import Ints
from simulators.rollout import month_of
from simulators.truth import counted_places, good_share
from simulators.world import World

WITHIN = 0.01
"""One percentage point."""
FEWEST_PLACES = 5
"""A county with fewer measured places (and not all of them) says nothing."""


class County(msgspec.Struct, frozen=True):
    """One goal in one county: shares of its places, covered by any carrier."""

    county: int
    places: int
    measured: int
    truth: float
    estimate: float
    low: float
    high: float
    states: float
    """Covered states over measured places: what the evaluation counts."""

    @property
    def is_within(self) -> bool:
        """Whether the estimate is a percentage point from the truth at most."""
        return abs(self.estimate - self.truth) <= WITHIN

    @property
    def is_inside(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low - 1e-9 <= self.truth <= self.high + 1e-9


class Score(msgspec.Struct, frozen=True):
    """One goal at one moment: how its counties compare with the truth."""

    goal: str
    day: str
    """The last one before that moment."""
    counties: int
    within: float
    """Share of counties within a percentage point."""
    inside: float
    """Share whose interval holds the truth."""
    either: float
    error: float
    """Mean of estimate minus truth."""
    error_of_states: float
    """The same of what the evaluation counts."""
    truth: float
    """Of the counties together: covered places over places."""
    estimate: float
    rows: list[County]


def window_share(world: World, goal: Goal, at: datetime) -> Floats:
    """The expected share of good samples in the goal's window that ends then: (places, 4)."""
    last = (at - timedelta(seconds=1)).astimezone(UTC).date()
    first = last - timedelta(days=goal.criteria.window_days - 1)
    back = (last.year - first.year) * 12 + last.month - first.month
    days = [(last.replace(day=1) - timedelta(days=28 * i)).replace(day=1) for i in range(back + 1)]
    if goal.criteria.window_days <= 31:  # the lapse measures on the 1st … 28th: one month only
        days = [last]
    months = sorted({month_of(day) for day in days})
    return np.asarray(np.mean([good_share(world.at(m), goal) for m in months], axis=0))


def score(world: World, goal: Goal, at: datetime, states: Sequence[Any]) -> Score | None:
    """Compare one goal; ``states`` are rows of `shudao.evaluation.sql.state_sql` at that moment.

    None where no county was measured enough.
    """
    rows = np.flatnonzero(counted_places(world, goal))
    n, good, is_covered = _evidence(world, goal, rows, states)
    truth = (window_share(world, goal, at)[rows] >= goal.criteria.share).any(axis=1)
    measured = n.any(axis=1)
    chance = any_carrier(covered_chance(n, good, goal.criteria.share))
    counties = [
        found
        for county in np.unique(world.places.county[rows])
        if (found := _county(int(county), world.places.county[rows] == county,
                             truth, measured, chance, is_covered))
    ]  # fmt: skip
    return _summary(goal, at, counties) if counties else None


def _evidence(
    world: World, goal: Goal, rows: Ints, states: Sequence[Any]
) -> tuple[Ints, Ints, Any]:
    """Samples and good ones of each place and carrier, and whether any covers it.

    Of a carrier whose state is unknown, too: a few samples are some evidence.
    """
    places = world.places
    ids = places.station_id if goal.places.kind == "station" else places.place_id
    row_of = {int(place): i for i, place in enumerate(ids[rows])}
    n, good = np.zeros((2, len(rows), len(Carrier)), np.int64)
    is_covered = np.zeros(len(rows), np.bool_)
    for state in states:
        row = row_of.get(state["place_id"])
        if row is None:
            continue
        if state["carrier_id"] == ANY_CARRIER:
            is_covered[row] = state["state"] == "covered"
        else:
            n[row, state["carrier_id"] - 1] = state["n"]
            good[row, state["carrier_id"] - 1] = state["n_good"]
    return n, good, is_covered


def _county(
    county: int, inside: Any, truth: Any, measured: Any, chance: Floats, is_covered: Any
) -> County | None:
    seen, places = inside & measured, int(inside.sum())
    found = estimate(chance[seen], places)
    if found is None or found.measured < min(FEWEST_PLACES, places):
        return None
    return County(
        county, places, found.measured, float(truth[inside].mean()),
        found.share, found.low, found.high, float(is_covered[seen].mean()),
    )  # fmt: skip


def _summary(goal: Goal, at: datetime, rows: list[County]) -> Score:
    places = np.array([c.places for c in rows])
    truth, found = np.array([c.truth for c in rows]), np.array([c.estimate for c in rows])
    states = np.array([c.states for c in rows])
    within = np.array([c.is_within for c in rows])
    inside = np.array([c.is_inside for c in rows])
    return Score(
        goal=goal.id,
        day=(at - timedelta(seconds=1)).date().isoformat(),
        counties=len(rows),
        within=float(within.mean()),
        inside=float(inside.mean()),
        either=float((within | inside).mean()),
        error=float((found - truth).mean()),
        error_of_states=float((states - truth).mean()),
        truth=float((truth * places).sum() / places.sum()),
        estimate=float((found * places).sum() / places.sum()),
        rows=rows,
    )
