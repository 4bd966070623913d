"""Roll-ups of samples, in pure numpy: group by sort, then `reduceat` and `bincount`.

Only additive measures, so that minutes add up to hours, hours to days, villages to counties, and
any split of the samples into batches gives the same numbers. Sums are integers in hundredths of
the unit, which makes adding exact in every order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.batch import Bools, Floats, Ints, Rows
from ingest.grouping import group
from shudao.streams import (
    DOWN_BINS,
    DOWN_EDGES_MBPS,
    RSRP_EDGES_DBM,
    SIGNAL_BINS,
    SINR_BINS,
    SINR_EDGES_DB,
    StreamName,
)

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Rollup:
    """Aggregated rows: key columns and measure columns, each an array with one entry a group.

    A measure is int64 of shape (groups,), float64 of shape (groups,) with NaN for "none", or
    int64 of shape (groups, bins).
    """

    keys: dict[str, Ints]
    measures: dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows in the order of their keys: ``starts`` are the groups' first positions in it."""

    starts: NDArray[np.intp]
    number: Ints
    """Group of each row."""

    def count(self, mask: Bools) -> Ints:
        return np.bincount(self.number[mask], minlength=len(self.starts)).astype(np.int64)

    def total_x100(self, values: Floats, present: Bools) -> Ints:
        hundredths = np.rint(np.where(present, values, 0.0) * 100).astype(np.int64)
        return np.add.reduceat(hundredths, self.starts)

    def least(self, values: Floats, present: Bools) -> Floats:
        return _none_to_nan(np.minimum.reduceat(np.where(present, values, np.inf), self.starts))

    def greatest(self, values: Floats, present: Bools) -> Floats:
        return _none_to_nan(np.maximum.reduceat(np.where(present, values, -np.inf), self.starts))

    def histogram(self, bins: Ints, counted: Bools, size: int) -> Ints:
        n = len(self.starts) * size
        flat = (self.number * size + bins)[counted]
        return np.bincount(flat, minlength=n).reshape(-1, size).astype(np.int64)


def _none_to_nan(values: Floats) -> Floats:
    return np.where(np.isinf(values), np.nan, values)


def by_minute(stream: StreamName, rows: Rows) -> Rollup:
    """County × carrier × technology × minute: what operators watch live.

    ``rows`` is (n,) of `ingest.journal.dtype`, n > 0, for this function and `by_hour`.
    """
    return _roll_up(stream, rows, "county", "county", "minute", MINUTE_MS)


def by_hour(stream: StreamName, rows: Rows) -> Rollup:
    """Place × carrier × technology × hour: what goals are evaluated from."""
    return _roll_up(stream, rows, "place_id", "place_id", "hour", HOUR_MS)


def _roll_up(
    stream: StreamName, rows: Rows, where: str, code: str, when: str, step_ms: int
) -> Rollup:
    time_ms = rows["time_ms"]
    keys: dict[str, Ints] = {
        where: rows[code].astype(np.int64),
        "carrier_id": rows["carrier_id"].astype(np.int64),
        "technology_id": rows["technology_id"].astype(np.int64),
        when: time_ms - time_ms % step_ms,
    }
    order, starts = group(list(keys.values()))
    number = np.zeros(len(order), np.int64)
    number[starts[1:]] = 1
    groups = _Groups(starts, np.cumsum(number))
    measure = radio_measures if stream == "radio" else broadband_measures
    first = order[starts]
    return Rollup({name: key[first] for name, key in keys.items()}, measure(rows[order], groups))


def radio_measures(rows: Rows, groups: _Groups) -> dict[str, NDArray[np.generic]]:
    """Measures of the radio stream, named as the columns of the roll-up tables."""
    rsrp, sinr = (rows[f].astype(np.float64) for f in ("rsrp_dbm", "sinr_db"))
    ecl = rows["ecl"]
    measures: dict[str, NDArray[np.generic]] = {
        "radio_n": groups.count(np.ones(len(rows), np.bool_)),
        "detached_n": groups.count(rows["attached"] == 0),
        **_summary(groups, "rsrp", rsrp),
        **_summary(groups, "sinr", sinr),
        **_summary(groups, "radio_rtt", rows["rtt_ms"].astype(np.float64), least=False),
        **{f"ecl{level}_n": groups.count(ecl == level) for level in range(3)},
        "signal_bins": groups.histogram(signal_bin(rsrp, sinr), ~np.isnan(rsrp), SIGNAL_BINS),
    }
    return measures


def broadband_measures(rows: Rows, groups: _Groups) -> dict[str, NDArray[np.generic]]:
    """Measures of the broadband stream, named as the columns of the roll-up tables."""
    down = rows["down_mbps"].astype(np.float64)
    measures: dict[str, NDArray[np.generic]] = {
        "broadband_n": groups.count(np.ones(len(rows), np.bool_)),
        **_summary(groups, "down", down),
        "down_bins": groups.histogram(down_bin(down), ~np.isnan(down), DOWN_BINS),
        **_summary(groups, "up", rows["up_mbps"].astype(np.float64), extremes=False),
        **_summary(groups, "rtt", rows["rtt_ms"].astype(np.float64)),
        **_summary(groups, "jitter", rows["jitter_ms"].astype(np.float64), extremes=False),
        **_summary(groups, "loss", rows["loss_pct"].astype(np.float64), extremes=False),
        "ipv6_n": groups.count(rows["ipv6"] >= 0),
        "ipv6_yes": groups.count(rows["ipv6"] == 1),
    }
    return measures


def _summary(
    groups: _Groups, name: str, values: Floats, *, extremes: bool = True, least: bool = True
) -> dict[str, NDArray[np.generic]]:
    present = ~np.isnan(values)
    out: dict[str, NDArray[np.generic]] = {
        f"{name}_n": groups.count(present),
        f"{name}_sum_x100": groups.total_x100(values, present),
    }
    if extremes and least:
        out[f"{name}_min"] = groups.least(values, present)
    if extremes:
        out[f"{name}_max"] = groups.greatest(values, present)
    return out


def signal_bin(rsrp_dbm: Floats, sinr_db: Floats) -> Ints:
    """Joint bin of RSRP and SINR; NaN SINR is class 0. Undefined (but in range) for NaN RSRP."""
    rsrp = np.searchsorted(RSRP_EDGES_DBM, np.nan_to_num(rsrp_dbm, nan=-999.0), side="right")
    sinr = 1 + np.searchsorted(SINR_EDGES_DB, np.nan_to_num(sinr_db, nan=-999.0), side="right")
    return (rsrp * SINR_BINS + np.where(np.isnan(sinr_db), 0, sinr)).astype(np.int64)


def down_bin(down_mbps: Floats) -> Ints:
    """Bin of a download rate. Undefined (but in range) for NaN."""
    return np.searchsorted(DOWN_EDGES_MBPS, np.nan_to_num(down_mbps, nan=0.0), side="right").astype(
        np.int64
    )
