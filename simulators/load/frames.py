"""PUBLISH packets in bulk: records of fixed width whose digits numpy fills in.

A frame looks exactly as a device's: compact JSON, numbers of the device's precision. All values
have one width, so that a thousand frames are one array: -97.52 is as wide as -103.5. Each sample
carries a number that no other has, as its cell: what arrived can be told by it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.load import wire

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Records = NDArray[np.void]
FIRST_NUMBER = 10_000_000_000
"""Of a run, as a cell_id; 58 billion more fit into its 36 bits at the same width."""
DEVICE_DIGITS, NUMBER_DIGITS, TIME_DIGITS = 12, 11, 13
_DRAWN = 8_192


@dataclass(frozen=True, slots=True)
class Bodies:
    """Drawn measurements as text: ``text`` (n, width), and the running sum of their RSRP."""

    text: Bytes
    rsrp_sum_x100: Ints
    """Entry i is the sum over the first i, in hundredths of dBm."""

    @property
    def width(self) -> int:
        """Bytes of each."""
        return int(self.text.shape[1])


def draw_bodies(at_once: int, seed: int) -> Bodies:
    """Measurements of which any ``at_once`` in a row can be cut."""
    random = np.random.default_rng(seed)
    n = _DRAWN + at_once
    rsrp_x100 = np.rint(np.clip(random.normal(-98, 8, n), -125, -44) * 100).astype(np.int64)
    rsrp_x100 = np.where(rsrp_x100 <= -10_000, rsrp_x100 // 10 * 10, rsrp_x100)
    sinr = np.clip(random.normal(6, 5, n), -9.9, 30)
    rsrq, pci = random.uniform(-19.5, -10.1, n), random.integers(100, 504, n)
    lines = [
        f'"rsrp_dbm":{r / 100:.{1 if r <= -10_000 else 2}f},"rsrq_db":{q:.1f},"sinr_db":{_four(s)},'
        f'"ecl":{int(r <= -10_800) + int(r <= -11_800)},"pci":{p},"earfcn":2506,"cell_id":'
        for r, q, s, p in zip(rsrp_x100, rsrq, sinr, pci, strict=True)
    ]
    raw = np.frombuffer("".join(lines).encode(), np.uint8)
    return Bodies(raw.reshape(n, -1), np.concatenate([[0], np.cumsum(rsrp_x100)]))


def _four(value: float) -> str:
    """Four characters: 12.3, 4.35 or -3.5."""
    return f"{value:.2f}" if 0 <= value < 9.995 else f"{value:.1f}"


def digits(values: Ints, width: int) -> Bytes:
    """Numbers as text of one width: (n, width)."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    text: Bytes = (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    return text


class Last(NamedTuple):
    """The newest sample that was made: whose it is, and its time."""

    device: int
    time_ms: int


class Frames:
    """An endless sequence of PUBLISH packets of some devices, made in a ring of records.

    Args:
        records: of `single_records` or `array_records`.
        devices: their numbers; each sends in turn, in a shuffled order.
        bodies: what they measure; as many at once as `take` makes samples.
    """

    def __init__(self, records: Records, devices: Ints, bodies: Bodies, *, seed: int) -> None:
        self._records, self._bodies = records, bodies
        self._has_arrays = "samples" in (records.dtype.names or ())
        self._bytes = records.view(np.uint8).data
        self._first = records["first"][:1].copy()
        self._random = np.random.default_rng(seed)
        self._devices = self._random.permutation(devices)
        self._names = digits(self._devices, DEVICE_DIGITS)
        self._turn, self._floor_ms = 0, 0
        self.last = Last(0, 0)

    @property
    def ring(self) -> int:
        """Messages that are there at a time."""
        return len(self._records)

    @property
    def size(self) -> int:
        """Bytes of one message on the wire."""
        return self._records.dtype.itemsize

    def view(self, slot: int, messages: int) -> memoryview:
        """Messages that were made, as bytes, until their slots are taken again."""
        return self._bytes[slot * self.size : (slot + messages) * self.size]

    def take(self, slot: int, messages: int, first_number: int = 0) -> int:
        """Make the next messages in these slots; returns the sum of their RSRP (1/100 dBm).

        A message has the packet id of its slot, plus 1. Samples count on from ``first_number``.
        """
        records = self._records[slot : slot + messages]
        samples = records["samples"] if self._has_arrays else records
        count = samples.size
        first = int(self._random.integers(0, _DRAWN))
        cycle, turn = np.divmod(self._turn + np.arange(count), len(self._devices))
        times = self._times(cycle, (self._turn + count) // len(self._devices))
        numbers = FIRST_NUMBER + first_number + np.arange(count)
        for name, value in (
            ("body", self._bodies.text[first : first + count]),
            ("device", self._names[turn]),
            ("time", digits(times, TIME_DIGITS)),
            ("number", digits(numbers, NUMBER_DIGITS)),
        ):
            samples[name] = value.reshape(*samples.shape, -1)
        records["first"] = self._first
        if "packet_id" in (records.dtype.names or ()):
            records["packet_id"] = np.arange(slot + 1, slot + messages + 1)
        self._turn += count
        self.last = Last(int(self._devices[turn[-1]]), int(times[-1]))
        total = self._bodies.rsrp_sum_x100
        return int(total[first + count] - total[first])

    def mark_duplicate(self, slot: int) -> None:
        """The message in this slot is sent again."""
        self._records["first"][slot] |= wire.DUPLICATE

    def _times(self, cycle: Ints, next_cycle: int) -> Ints:
        """Now; a device whose turn comes again within this millisecond is later."""
        first_ms = max(time.time_ns() // 1_000_000, self._floor_ms)
        self._floor_ms = first_ms + next_cycle - int(cycle[0])
        times: Ints = first_ms + cycle - cycle[0]
        return times


def single_records(
    topic_start: str,
    ring: int,
    body: int,
    *,
    qos: int = 1,
    version: wire.Version = wire.Version.V3_1_1,
) -> Records:
    """Messages of one object each, with everything filled in that never changes.

    The topic goes on with the device's digits; ``body`` is the width of the measurements.
    """
    fields: dict[str, Any] = {"device": ("u1", (DEVICE_DIGITS,))}
    if qos:
        fields["packet_id"] = ">u2"
    if version is wire.Version.V5:
        fields["properties"] = "u1"  # there are none: 0
    fields |= {"open": ("u1", (8,)), **_sample_fields(body)}
    records = _records(ring, qos, topic_start.encode(), fields)
    records["open"] = _characters(b'{"time":')
    _punctuate(records)
    return records


def array_records(topic: str, device_prefix: str, ring: int, body: int, samples: int) -> Records:
    """Messages of an array of so many samples each, of MQTT 3.1.1, QoS 1; else as above."""
    opened, middle = f'{{"device":"{device_prefix}'.encode(), b'","stream":"radio","time":'
    sample = np.dtype(list(_named({
        "open": ("u1", (len(opened),)), "device": ("u1", (DEVICE_DIGITS,)),
        "middle": ("u1", (len(middle),)), **_sample_fields(body), "end": "u1",
    })))  # fmt: skip
    records = _records(ring, 1, topic.encode(), {
        "packet_id": ">u2", "bracket": "u1", "samples": (sample, (samples,)),
    })  # fmt: skip
    records["bracket"] = ord("[")
    filled = records["samples"]
    filled["open"], filled["middle"] = _characters(opened), _characters(middle)
    filled["end"] = ord(",")
    filled["end"][:, -1] = ord("]")
    _punctuate(filled)
    return records


def _sample_fields(body: int) -> dict[str, Any]:
    return {
        "time": ("u1", (TIME_DIGITS,)), "comma": "u1", "body": ("u1", (body,)),
        "number": ("u1", (NUMBER_DIGITS,)), "close": "u1",
    }  # fmt: skip


def _punctuate(samples: Records) -> None:
    samples["comma"], samples["close"] = ord(","), ord("}")


def _records(count: int, qos: int, topic_start: bytes, fields: dict[str, Any]) -> Records:
    """Records that begin with the fixed header and the topic, or what is constant of it."""
    rest = np.dtype(list(_named(fields)))
    topic_rest = rest["device"].itemsize if "device" in fields else 0
    name = struct.pack(">H", len(topic_start) + topic_rest) + topic_start
    head = wire.remaining_length(len(name) + rest.itemsize) + name
    records = np.zeros(count, [("first", "u1"), ("head", "u1", (len(head),)), *_named(fields)])
    records["first"] = wire.PUBLISH | (wire.QOS_1 if qos else 0)
    records["head"] = _characters(head)
    return records


def _named(fields: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, kind in fields.items():
        yield (name, *kind) if isinstance(kind, tuple) else (name, kind)


def _characters(raw: bytes) -> Bytes:
    return np.frombuffer(raw, np.uint8)
