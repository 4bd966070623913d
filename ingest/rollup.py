"""Roll-ups of samples, in pure numpy: group by sort, then `reduceat` and `bincount`.

Only additive measures, so that minutes add up to hours, hours to days, villages to counties, and
any split of the samples into batches gives the same numbers. Sums are integers in hundredths of
the unit, which makes adding exact in every order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.batch import Bools, Checked, Floats, Ints, Rows
from shudao.streams import (
    DOWN_BINS,
    DOWN_EDGES_MBPS,
    RSRP_EDGES_DBM,
    SIGNAL_BINS,
    SINR_BINS,
    SINR_EDGES_DB,
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
    """Rows sorted by key: ``order`` sorts them, ``starts`` are the groups' first positions."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    number: Ints
    """Group of each sorted row."""

    def count(self, mask: Bools) -> Ints:
        return np.add.reduceat(mask[self.order].astype(np.int64), self.starts)

    def total_x100(self, values: Floats, present: Bools) -> Ints:
        hundredths = np.rint(np.where(present, values, 0.0) * 100).astype(np.int64)
        return np.add.reduceat(hundredths[self.order], self.starts)

    def least(self, values: Floats, present: Bools) -> Floats:
        return _none_to_nan(
            np.minimum.reduceat(np.where(present, values, np.inf)[self.order], self.starts)
        )

    def greatest(self, values: Floats, present: Bools) -> Floats:
        return _none_to_nan(
            np.maximum.reduceat(np.where(present, values, -np.inf)[self.order], self.starts)
        )

    def histogram(self, bins: Ints, counted: Bools, size: int) -> Ints:
        flat = (self.number * size + bins[self.order])[counted[self.order]]
        n = len(self.starts) * size
        return np.bincount(flat, minlength=n).reshape(-1, size).astype(np.int64)


def _none_to_nan(values: Floats) -> Floats:
    return np.where(np.isinf(values), np.nan, values)


def by_minute(checked: Checked) -> Rollup:
    """County × carrier × technology × minute: what operators watch live."""
    return _roll_up(checked, "county", checked.county, "minute", MINUTE_MS)


def by_hour(checked: Checked) -> Rollup:
    """Place × carrier × technology × hour: what goals are evaluated from."""
    place = checked.rows["place_id"].astype(np.int64)
    return _roll_up(checked, "place_id", place, "hour", HOUR_MS)


def _roll_up(checked: Checked, where: str, code: Ints, when: str, step_ms: int) -> Rollup:
    rows = checked.rows
    keys: dict[str, Ints] = {
        where: code,
        "carrier_id": rows["carrier_id"].astype(np.int64),
        "technology_id": rows["technology_id"].astype(np.int64),
        when: rows["time_ms"] - rows["time_ms"] % step_ms,
    }
    groups = _group(list(keys.values()))
    first = groups.order[groups.starts]
    measure = radio_measures if checked.stream.name == "radio" else broadband_measures
    return Rollup({name: key[first] for name, key in keys.items()}, measure(rows, groups))


def _group(keys: list[Ints]) -> _Groups:
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return _Groups(order, np.flatnonzero(new), np.cumsum(new, dtype=np.int64) - 1)


def radio_measures(rows: Rows, groups: _Groups) -> dict[str, NDArray[np.generic]]:
    """Measures of the radio stream, named as the columns of the roll-up tables."""
    every = np.ones(len(rows), np.bool_)
    rsrp, sinr = (rows[f].astype(np.float64) for f in ("rsrp_dbm", "sinr_db"))
    has_rsrp = ~np.isnan(rsrp)
    measures: dict[str, NDArray[np.generic]] = {
        "radio_n": groups.count(every),
        "detached_n": groups.count(rows["attached"] == 0),
        **_summary(groups, "rsrp", rsrp),
        **_summary(groups, "sinr", sinr),
        **_summary(groups, "radio_rtt", rows["rtt_ms"].astype(np.float64), least=False),
        **{f"ecl{level}_n": groups.count(rows["ecl"] == level) for level in range(3)},
        "signal_bins": groups.histogram(signal_bin(rsrp, sinr), has_rsrp, SIGNAL_BINS),
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
