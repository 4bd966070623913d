"""Check decoded samples, all rows at once, and turn the valid ones into rows of the stream.

Each check yields a mask of bad rows; a row is refused with the first reason that hits it. The
text of a refusal is made only for rows that are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ingest.batch import Bools, Checked, Floats, Ints, Refusal, Samples
from ingest.directory import Devices
from ingest.reasons import Reason
from shudao.streams import ABSENT, Field, Stream
from shudao.vocabulary import FOREIGN_CARRIER, RADIO_TECHNOLOGIES


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a sample's time may lie from now. None: no limit (recorded data)."""

    max_ahead_ms: int | None
    max_age_ms: int | None


Check = tuple[Reason, Bools, Callable[[int], str]]


def check(
    samples: Samples, devices: Devices, now_ms: int, limits: Limits
) -> tuple[Checked, list[Refusal]]:
    """Split samples of ``devices`` (a row each) into valid rows and refusals."""
    good = np.ones(len(samples), np.bool_)
    refusals = []
    for reason, bad, detail in _checks(samples, devices, now_ms, limits):
        for row in np.flatnonzero(bad & good):
            refusals.append(samples.refuse(int(row), reason, detail(int(row))))
        good &= ~bad
    return _rows(samples, devices, good), refusals


def _checks(samples: Samples, devices: Devices, now_ms: int, limits: Limits) -> Iterator[Check]:
    names = samples.device
    yield (
        Reason.UNKNOWN_DEVICE,
        devices.device_id == 0,
        lambda i: f"no device {names[i]!r} is registered",
    )
    claimed = samples.claimed_carrier
    yield (
        Reason.WRONG_CARRIER,
        (claimed != 0) & (claimed != devices.carrier_id),
        lambda i: f"device {names[i]!r} belongs to carrier {devices.carrier_id[i]}",
    )
    yield (
        Reason.UNKNOWN_TECHNOLOGY,
        samples.technology_id < 0,
        lambda _: "the technology is not in the vocabulary",
    )
    if samples.stream.name == "radio":
        technology = _technology(samples, devices)
        yield (
            Reason.UNKNOWN_TECHNOLOGY,
            ~np.isin(technology, RADIO_TECHNOLOGIES),
            lambda i: f"technology {technology[i]} of device {names[i]!r} has no radio samples",
        )
    yield from _time_checks(samples, now_ms, limits)
    yield from _value_checks(samples.stream, samples)


def _time_checks(samples: Samples, now_ms: int, limits: Limits) -> Iterator[Check]:
    time = samples.time_ms
    # Without limits still what PostgreSQL and Python can both hold.
    newest = 4_102_444_800_000.0 if limits.max_ahead_ms is None else now_ms + limits.max_ahead_ms
    oldest = 0.0 if limits.max_age_ms is None else now_ms - limits.max_age_ms
    yield (
        Reason.TIME_AHEAD,
        ~(time <= newest),
        lambda i: f"time {_iso(time[i])} lies after {_iso(newest)}",
    )
    yield (
        Reason.TIME_OLD,
        ~(time >= oldest),
        lambda i: f"time {_iso(time[i])} lies before {_iso(oldest)}",
    )


def _iso(time_ms: float) -> str:
    if not 0 <= time_ms < 253_402_300_800_000:
        return f"{time_ms:.0f} ms"
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _value_checks(stream: Stream, samples: Samples) -> Iterator[Check]:
    values = samples.values
    if stream.name == "reading":
        yield Reason.UNKNOWN_METRIC, np.isnan(values[:, 0]), lambda _: "no such metric"
    present = ~np.isnan(values)
    used = np.flatnonzero(present.any(axis=0)).tolist()  # of what devices send, half is absent
    outside = {i: _outside(stream.fields[i], values[:, i]) for i in used}
    any_outside: Bools = np.zeros(len(samples), np.bool_)
    for bad in outside.values():
        any_outside |= bad

    def first_outside(row: int) -> str:
        column = next(i for i, bad in outside.items() if bad[row])
        f, value = stream.fields[column], values[row, column]
        kind = "a whole number in" if f.is_integer else "in"
        return f"{f.name} = {value:.10g} is not {kind} {f.low:g} … {f.high:g} ({f.source})"

    yield Reason.OUT_OF_RANGE, any_outside, first_outside
    if stream.name == "radio":
        yield _radio_contradiction(stream, samples)
    measured: Bools = np.zeros(len(samples), np.bool_)
    for i in used:
        if stream.fields[i].name not in _NO_MEASUREMENT:
            measured |= present[:, i]
    if stream.name == "radio":
        measured |= _column(stream, samples, "attached") == 0
    yield Reason.EMPTY, ~measured, lambda _: "no field holds a measured value"


def _outside(f: Field, values: Floats) -> Bools:
    """Where a field's value is out of range; an absent one (NaN) is not."""
    outside: Bools = (values < f.low) | (values > f.high)
    if f.is_integer:
        outside |= (values != np.rint(values)) & ~np.isnan(values)
    return outside


_NO_MEASUREMENT = {"attached", "lon", "lat", "metric_id"}


def _column(stream: Stream, samples: Samples, name: str) -> Floats:
    return samples.values[:, [f.name for f in stream.fields].index(name)]


def _radio_contradiction(stream: Stream, samples: Samples) -> Check:
    """Rows that exclude themselves.

    ECL 0 at -130 dBm or below: 577 of 10,688 recorded NB-IoT rows say so, with a transmit power
    of -52 dBm; networks switch to ECL 1 near -108 dBm, so the value is stale. And a device that
    found no cell has no RSRP.
    """
    rsrp = _column(stream, samples, "rsrp_dbm")
    stale = (rsrp <= -130) & (_column(stream, samples, "ecl") == 0)
    detached = ~np.isnan(rsrp) & (_column(stream, samples, "attached") == 0)
    return (
        Reason.CONTRADICTION,
        stale | detached,
        lambda i: "ECL 0 at RSRP ≤ -130 dBm" if stale[i] else "attached = 0 with an RSRP",
    )


def _technology(samples: Samples, devices: Devices) -> Ints:
    """The sample's own technology, else its device's."""
    named = samples.technology_id
    return np.where(named > 0, named, devices.technology_id)


def _rows(samples: Samples, devices: Devices, good: Bools) -> Checked:
    rows = np.zeros(int(good.sum()), samples.stream.dtype)
    rows["time_ms"] = samples.time_ms[good]
    rows["device_id"] = devices.device_id[good]
    rows["place_id"] = devices.place_id[good]
    rows["carrier_id"] = devices.carrier_id[good]
    rows["technology_id"] = _technology(samples, devices)[good]
    for column, f in enumerate(samples.stream.fields):
        values = samples.values[good, column]
        rows[f.name] = np.where(np.isnan(values), ABSENT, values) if f.is_integer else values
    county = np.where(rows["carrier_id"] == FOREIGN_CARRIER, 0, devices.county[good])
    positions = np.flatnonzero(good)
    return Checked(
        samples.stream, rows, county, samples.received_ms[good],
        lambda row, reason, detail: samples.refuse(int(positions[row]), reason, detail),
    )  # fmt: skip
