"""When a device reports, how well its clock goes, how long its battery lasts.

The traffic model is "mobile autonomous reporting, periodic" of 3GPP TR 45.820, annex E.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.draws import Draws, Floats
from simulators.places import Ints

MAR_INTERVALS_S = np.array([86_400, 7_200, 3_600, 1_800])
MAR_SHARES = (0.40, 0.40, 0.15, 0.05)
MAR_SMALLEST, MAR_LARGEST, MAR_ALPHA = 20, 200, 2.5
"""Bytes of a report: Pareto with this shape, cut off."""

MOST_JITTER_MS = 60_000
"""A device reports up to a minute late, or a tenth of its interval, so that those with one
interval do not all report at once. DB35/T 2106-2022 spreads over 10 to 60 s."""

CLOCK_S = 1.0
"""Standard deviation of a clock that the network sets when the device attaches. Ours."""

UNANSWERED = (0.004, 0.02, 0.10)
"""Share of exchanges without an answer, by CE level. Oslo: 11 of 2,741 over all; the others ours.
The device sends again after `RETRY_MS`: its report, or the answer to it, was lost."""
RETRY_MS = 10_000

BATTERY_J = 18_000.0
"""5 Wh, as TR 45.820 assumes."""
EXCHANGE_J = np.array([0.228, 0.558, 1.269])
"""By CE level: medians of the release test recorded in South Africa, taken for mJ."""
LEVEL_SHARES = (0.80, 0.15, 0.05)
SLEEP_W = np.array([15e-6, 100e-6])
"""In PSM, as TR 45.820 assumes; in eDRX, which listens every cycle: ours."""
PSM_SHARE = 0.85

_DAY_MS = 86_400_000


def mar_intervals(draws: Draws, *keys: ArrayLike) -> Ints:
    """Seconds between the reports of a device."""
    drawn = draws.uniform("habit/interval", *keys)
    ends = np.cumsum(MAR_SHARES[:-1])
    return np.asarray(MAR_INTERVALS_S[np.searchsorted(ends, drawn)], np.int64)


def report_bytes(draws: Draws, *keys: ArrayLike) -> Ints:
    """Size of a report's own frame."""
    pareto = MAR_SMALLEST * draws.uniform("habit/bytes", *keys) ** (-1 / MAR_ALPHA)
    return np.minimum(pareto, MAR_LARGEST).astype(np.int64)


def clock_offset_ms(draws: Draws, *keys: ArrayLike) -> Ints:
    """How far a device's clock is ahead."""
    return (1000 * CLOCK_S * draws.normal("habit/clock", *keys)).astype(np.int64)


def battery_percent(draws: Draws, interval_s: ArrayLike, key: ArrayLike, time_ms: Ints) -> Floats:
    """What is left of a battery, which is replaced when it is empty; ``key`` is the device's.

    It lasts longer the less often the device reports, the better its coverage, the deeper it
    sleeps: from months to decades.
    """
    level = np.searchsorted(np.cumsum(LEVEL_SHARES[:-1]), draws.uniform("habit/level", key))
    sleep = (draws.uniform("habit/sleep", key) > PSM_SHARE).astype(np.int64)
    day_j = 86_400 * (EXCHANGE_J[level] / np.asarray(interval_s) + SLEEP_W[sleep])
    lives = time_ms / _DAY_MS * day_j / BATTERY_J + draws.uniform("habit/installed", key)
    return np.asarray(100 * (1 - lives % 1), np.float64)
