"""A recorded file read whole, and its samples as the messages that its devices would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from ingest.batch import Floats, Ints
from ingest.recorded.convert import Converter
from ingest.recorded.load import NamedProfile
from ingest.recorded.read import open_recorded
from shudao.errors import ShudaoError
from shudao.streams import Stream, topic
from shudao.vocabulary import Carrier

_CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples in the order of their times; equal times stay in the order of the file.

    ``values`` is (n, fields of the stream), NaN where absent; ``unreadable`` counts the lines that
    hold no sample.
    """

    stream: Stream
    device: list[str]
    time_ms: Ints
    values: Floats
    unreadable: int

    def __len__(self) -> int:
        return len(self.device)

    def column(self, field: str) -> Floats:
        """One field's values."""
        return self.values[:, [f.name for f in self.stream.fields].index(field)]

    def messages(self, carrier: Carrier, shift_ms: int = 0) -> Iterator[tuple[int, str, bytes]]:
        """Each sample's time, topic and payload; times are moved by ``shift_ms``."""
        for row, device in enumerate(self.device):
            time_ms = int(self.time_ms[row]) + shift_ms
            payload = {"time": time_ms} | self._measured(row)
            where = topic(carrier.name.lower(), self.stream.name, device)
            yield time_ms, where, msgspec.json.encode(payload)

    def _measured(self, row: int) -> dict[str, float]:
        pairs = zip(self.stream.fields, self.values[row].tolist(), strict=True)
        return {
            f.name: int(value) if f.is_integer and value.is_integer() else value
            for f, value in pairs
            if value == value  # NaN is absent
        }


def read_recording(path: str, named: NamedProfile, carrier_id: int) -> Recording:
    """Read a file through its profile. Raises `ShudaoError`, also when no line holds a sample."""
    with open_recorded(path, named.profile.format) as file:
        converter = Converter(named, file.header, file.name, carrier_id)
        parts = [converter.convert(records, 0) for records in file.chunks(_CHUNK_ROWS)]
    samples = [found for found, _ in parts if len(found)]
    if not samples:
        raise ShudaoError(f"{path} holds no sample", f"is {named.name} the right profile?")
    time_ms = np.concatenate([s.time_ms for s in samples])
    order = np.argsort(time_ms, kind="stable")
    device = [name for s in samples for name in s.device]
    return Recording(
        named.profile.samples_of,
        [device[row] for row in order.tolist()],
        time_ms[order].astype(np.int64),
        np.concatenate([s.values for s in samples])[order],
        sum(len(refusals) for _, refusals in parts),
    )
