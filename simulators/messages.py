"""Samples as bytes: the JSON of the message contract, and messages that break it on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import msgspec
import numpy as np

from simulators.draws import Floats
from simulators.samples import Columns

MessageKind = Literal["valid", "duplicate", "malformed"]


class RadioSample(msgspec.Struct, omit_defaults=True):
    """One object of the radio stream; what was not measured is left out."""

    time: int
    technology: str | None = None
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    ecl: int | None = None
    pci: int | None = None
    earfcn: int | None = None
    cell_id: int | None = None
    tx_power_dbm: float | None = None
    rtt_ms: float | None = None
    attached: int | None = None
    lon: float | None = None
    lat: float | None = None
    frame: str | None = None
    """A sensor's own report in hexadecimal: no field of the contract, hence ignored."""


class BroadbandSample(msgspec.Struct, omit_defaults=True):
    """One object of the broadband stream."""

    time: int
    down_mbps: float | None = None
    up_mbps: float | None = None
    rtt_ms: float | None = None
    rtt_max_ms: float | None = None
    jitter_ms: float | None = None
    loss_pct: float | None = None
    dns_ms: float | None = None
    ipv6: int | None = None
    technology: str | None = None


class ReadingSample(msgspec.Struct):
    """One object of the reading stream."""

    time: int
    metric: str
    value: float


Sample = RadioSample | BroadbandSample | ReadingSample
encode: Callable[[Sample | list[Sample]], bytes] = msgspec.json.Encoder().encode

_RADIO_NAMES = RadioSample.__struct_fields__[2:-1]
_WHOLE = {"ecl", "pci", "earfcn", "cell_id", "ipv6"}
_DECIMALS = {"loss_pct": 3, "jitter_ms": 2, "lon": 6, "lat": 6, "water_volume": 3}


@dataclass(slots=True)
class Message:
    """What is published; ``samples`` are counted, of a malformed message those that are refused.

    ``prefecture`` and ``carrier`` (0 … 3) say where it comes from, ``fault`` what is wrong with it
    on purpose; ``attempts`` is how often it was handed to a broker.
    """

    topic: str
    payload: bytes
    samples: int
    kind: MessageKind
    prefecture: int
    carrier: int
    content_type: str = ""
    fault: str = ""
    attempts: int = 0


def radio_objects(
    columns: Columns, time_ms: list[int], technology: list[str | None]
) -> list[Sample]:
    """One object for each row of flat columns; a device that found no cell says only that."""
    said = {name: column for name, column in columns.items() if name != "attached"}
    measured = [_plain(name, said.get(name)) for name in _RADIO_NAMES]
    objects: list[Sample] = list(map(RadioSample, time_ms, technology, *measured))
    for i in np.flatnonzero(columns["attached"] == 0).tolist():
        found = objects[i]
        assert isinstance(found, RadioSample)
        objects[i] = RadioSample(
            found.time, found.technology, attached=0, lon=found.lon, lat=found.lat
        )
    return objects


def broadband_objects(
    columns: Columns, time_ms: list[int], technology: list[str | None]
) -> list[Sample]:
    """One object for each row of flat columns."""
    names = BroadbandSample.__struct_fields__[1:-1]
    measured = [_plain(name, columns.get(name)) for name in names]
    return list(map(BroadbandSample, time_ms, *measured, technology))


def reading_objects(columns: Columns, time_ms: list[int]) -> list[Sample]:
    """For each row of flat columns one object of each metric."""
    metrics = [zip(repeat(name), _plain(name, column)) for name, column in columns.items()]
    return [
        ReadingSample(time, metric, value)
        for time, *values in zip(time_ms, *metrics, strict=True)
        for metric, value in values
    ]


def _plain(name: str, column: Floats | None) -> Iterable[Any]:
    """Python numbers, rounded as a device would send them; endless None for no column."""
    if column is None:
        return repeat(None)
    plain: list[Any]
    if name in _WHOLE:
        plain = np.nan_to_num(column).astype(np.int64).tolist()
    else:
        plain = np.round(column, _DECIMALS.get(name, 1)).tolist()
    return plain
