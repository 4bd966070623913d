"""The roll-out that the plan asks for, August 2018 to December 2020: what is there in which month.

Whatever is built (base stations, fibre, IPv6) has an order of its own from 0 (first) to 1 (last):
it is there from the first month in which its county's progress exceeds that. So nothing is ever
taken away, and a world stands still within a month. Before and after the plan it is as in its
first and last month.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from simulators.draws import Draws, Floats
from simulators.places import Ints, is_mountain

FIRST_MONTH = date(2018, 8, 1)
"""The plan is of 25 August 2018."""
MONTHS = 29
LAST = MONTHS - 1
NEVER = MONTHS
"""In place of a month: not within the plan."""

BEGIN_MONTHS, FULL_MONTHS = (0.0, 8.0), (16.0, 28.0)
"""A county begins to build so many months into the plan, and is done so many months into it."""
MOUNTAIN_DELAY = 6.0
"""Months by which the western prefectures are later."""
LAGGARDS, LAGGARDS_MOUNTAIN = 0.06, 0.20
"""Shares of counties that miss the deadline …"""
LAGGARD_REACHES = 0.8
"""… with so much of it done at the end."""


def month_of(day: date) -> int:
    """The month of the roll-out, 0 … `LAST`, that holds on a day."""
    months = (day.year - FIRST_MONTH.year) * 12 + day.month - FIRST_MONTH.month
    return min(max(months, 0), LAST)


def first_day(month: int) -> date:
    """The first day of a month of the roll-out; of `NEVER` the day after its end."""
    years, months = divmod(FIRST_MONTH.month - 1 + month, 12)
    return date(FIRST_MONTH.year + years, months + 1, 1)


def progress(county: Ints, start: float, draws: Draws, label: str) -> Floats:
    """Share of what will be built that is there: (counties, months), never falling.

    ``start`` is the share at the beginning; ``label`` what is built: each has its own laggards.
    """
    mountain = is_mountain(county)
    begin = _between(BEGIN_MONTHS, draws.uniform(f"{label}/begin", county))
    full = _between(FULL_MONTHS, draws.uniform(f"{label}/full", county))
    begin, full = (months + MOUNTAIN_DELAY * mountain for months in (begin, full))
    laggards = np.where(mountain, LAGGARDS_MOUNTAIN, LAGGARDS)
    lags = draws.uniform(f"{label}/laggard", county) < laggards
    done = np.clip((np.arange(MONTHS) - begin[:, None]) / (full - begin)[:, None], 0, 1)
    reaches = np.where(lags, LAGGARD_REACHES, 1.0)[:, None]
    return np.asarray(start + (1 - start) * reaches * done, np.float64)


def first_months(order: Floats, reached: Floats) -> Ints:
    """The month from which each thing is there, `NEVER` where none.

    ``order`` is (n,), ``reached`` the rows of `progress` of their counties: (n, months).
    """
    return np.asarray((reached <= order[:, None]).sum(axis=1), np.int64)


def _between(limits: tuple[float, float], u: Floats) -> Floats:
    low, high = limits
    return np.asarray(low + (high - low) * u, np.float64)
