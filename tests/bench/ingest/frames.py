"""PUBLISH packets in bulk: records of fixed width whose digits numpy fills in.

A frame looks exactly as a device's: compact JSON, numbers of the device's precision. All values
have one width, so that a thousand frames are one array: -97.52 is as wide as -103.5.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shudao.streams import topic
from shudao.vocabulary import Carrier
from tests.bench.ingest import wire

Bytes = NDArray[np.uint8]
Records = NDArray[np.void]
CARRIERS = tuple(c.name.lower() for c in Carrier)
FIRST_DEVICE = 510_000_000_000
"""Device n is called nb-{carrier}-{FIRST_DEVICE + n}, as a real one after its village."""
_DRAWN = 8_192


@dataclass(frozen=True, slots=True)
class Bodies:
    """Drawn measurements as text: ``text`` (n, width), and the running sum of their RSRP."""

    text: Bytes
    rsrp_sum_x100: NDArray[np.int64]
    """Entry i is the sum over the first i, in hundredths of dBm."""


def draw_bodies(at_once: int, seed: int) -> Bodies:
    """Measurements of which any ``at_once`` in a row can be cut."""
    random = np.random.default_rng(seed)
    n = _DRAWN + at_once
    rsrp_x100 = np.rint(np.clip(random.normal(-98, 8, n), -125, -44) * 100).astype(np.int64)
    rsrp_x100 = np.where(rsrp_x100 <= -10_000, rsrp_x100 // 10 * 10, rsrp_x100)
    sinr = np.clip(random.normal(6, 5, n), -9.9, 30)
    rsrq, pci = random.uniform(-19.5, -10.1, n), random.integers(100, 504, n)
    cell = random.integers(100_000_000, 200_000_000, n)
    lines = [
        f'"rsrp_dbm":{r / 100:.{1 if r <= -10_000 else 2}f},"rsrq_db":{q:.1f},"sinr_db":{_four(s)},'
        f'"ecl":{int(r <= -10_800) + int(r <= -11_800)},"pci":{p},"earfcn":2506,"cell_id":{c}}}'
        for r, q, s, p, c in zip(rsrp_x100, rsrq, sinr, pci, cell, strict=True)
    ]
    return Bodies(_rows(lines), np.concatenate([[0], np.cumsum(rsrp_x100)]))


def _four(value: float) -> str:
    """Four characters: 12.3, 4.35 or -3.5."""
    return f"{value:.2f}" if 0 <= value < 9.995 else f"{value:.1f}"


def _rows(lines: list[str]) -> Bytes:
    raw = "".join(lines).encode()
    return np.frombuffer(raw, np.uint8).reshape(len(lines), -1)


class Frames:
    """An endless sequence of PUBLISH packets of one carrier's devices.

    Args:
        carrier: its name.
        devices: numbers of its devices; each sends in turn, in a shuffled order.
        per_message: 0: one object a message, on the device's topic; else arrays of so many, on
            the batch topic.
        at_once: the most messages that `take` makes.
    """

    def __init__(
        self, carrier: str, devices: NDArray[np.int64], *, per_message: int, at_once: int, seed: int
    ) -> None:
        self.per_message = max(per_message, 1)
        self._bodies = draw_bodies(at_once * self.per_message, seed)
        self._random = np.random.default_rng(seed)
        self._names = _rows([f"{n:012d}" for n in self._random.permutation(devices) + FIRST_DEVICE])
        width = self._bodies.text.shape[1]
        self._records = (
            _array_records(carrier, at_once, per_message, width)
            if per_message
            else _single_records(carrier, at_once, width)
        )
        self._turn, self._packet_id, self._last_ms = 0, 0, 0

    @property
    def size(self) -> int:
        """Bytes of one message on the wire."""
        return self._records.dtype.itemsize

    def take(self, messages: int) -> tuple[memoryview, int]:
        """The next messages, valid until the next call, and the sum of their RSRP (1/100 dBm)."""
        records = self._records[:messages]
        samples = records["samples"] if self._has_arrays else records
        count = samples.size
        first = int(self._random.integers(0, _DRAWN))
        samples["body"] = self._bodies.text[first : first + count].reshape(*samples.shape, -1)
        cycle, turn = np.divmod(self._turn + np.arange(count), len(self._names))
        samples["device"] = self._names[turn].reshape(*samples.shape, -1)
        samples["time"] = self._times(cycle).reshape(*samples.shape, -1)
        self._turn = int(turn[-1] + 1) % len(self._names)
        ids = (self._packet_id + np.arange(messages)) % wire.MAX_UNACKNOWLEDGED + 1
        records["packet_id"], self._packet_id = ids, int(ids[-1])
        total = self._bodies.rsrp_sum_x100
        return records.view(np.uint8).data, int(total[first + count] - total[first])

    @property
    def _has_arrays(self) -> bool:
        return "samples" in (self._records.dtype.names or ())

    def _times(self, cycle: NDArray[np.int64]) -> Bytes:
        """Now, as digits; a device whose turn comes again within this millisecond is later."""
        first_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        self._last_ms = first_ms + int(cycle[-1])
        return _rows([f"{first_ms + c:013d}" for c in range(int(cycle[-1]) + 1)])[cycle]


def _single_records(carrier: str, count: int, body: int) -> Records:
    """Messages of one object each, with everything filled in that never changes."""
    start = topic(carrier, "radio", f"nb-{carrier}-").encode()
    records = _records(count, start, {
        "device": ("u1", (12,)), "packet_id": ">u2",
        "open": ("u1", (8,)), "time": ("u1", (13,)), "comma": "u1", "body": ("u1", (body,)),
    })  # fmt: skip
    records["open"], records["comma"] = _characters(b'{"time":'), ord(",")
    return records


def _array_records(carrier: str, count: int, per_message: int, body: int) -> Records:
    """Messages of an array each, with everything filled in that never changes."""
    opened, middle = f'{{"device":"nb-{carrier}-'.encode(), b'","stream":"radio","time":'
    sample = np.dtype([
        ("open", "u1", (len(opened),)), ("device", "u1", (12,)), ("middle", "u1", (len(middle),)),
        ("time", "u1", (13,)), ("comma", "u1"), ("body", "u1", (body,)), ("end", "u1"),
    ])  # fmt: skip
    start = topic(carrier, "batch", f"uploader-{carrier}").encode()
    records = _records(count, start, {
        "packet_id": ">u2", "bracket": "u1", "samples": (sample, (per_message,)),
    })  # fmt: skip
    records["bracket"] = ord("[")
    samples = records["samples"]
    samples["open"], samples["middle"] = _characters(opened), _characters(middle)
    samples["comma"], samples["end"] = ord(","), ord(",")
    samples["end"][:, -1] = ord("]")
    return records


def _records(count: int, topic_start: bytes, fields: dict[str, Any]) -> Records:
    """Records that begin with the fixed header and the topic, or what is constant of it."""
    rest = np.dtype(list(_named(fields)))
    topic_rest = rest["device"].itemsize if "device" in fields else 0
    name = struct.pack(">H", len(topic_start) + topic_rest) + topic_start
    length = wire.remaining_length(len(name) + rest.itemsize)
    head = bytes([wire.PUBLISH_QOS_1]) + length + name
    records = np.zeros(count, [("head", "u1", (len(head),)), *_named(fields)])
    records["head"] = _characters(head)
    return records


def _named(fields: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, kind in fields.items():
        yield (name, *kind) if isinstance(kind, tuple) else (name, kind)


def _characters(raw: bytes) -> Bytes:
    return np.frombuffer(raw, np.uint8)
