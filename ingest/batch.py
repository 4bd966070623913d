"""A batch on its way from a source to the database.

``Message`` is what a source delivers; ``Samples`` is what a decoder makes of many messages (one
per stream, columns, not yet checked); ``Refusal`` is a sample that will be quarantined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.reasons import Reason
from shudao.streams import Stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.void]


class Message(NamedTuple):
    """One message as the source delivered it."""

    topic: str
    payload: bytes
    received_ms: int
    """The time of its arrival."""
    content_type: str = ""
    """MQTT 5's, lower case without parameters; empty where the sender states none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sample (or a whole message that could not be taken apart) that was refused, and why."""

    reason: Reason
    detail: str
    topic: str
    payload: bytes
    item: int
    """Position in the message's array; 0 for a single object or a whole message."""
    received_ms: int
    carrier_id: int
    stream: str
    device: str


@dataclass(slots=True)
class Samples:
    """Decoded, unchecked samples of one stream; every array has length n.

    ``values`` is (n, number of the stream's fields), float64, NaN where absent: exact for every
    integer field, since none exceeds 2**53. ``claimed_carrier`` is the topic's (0: none was
    claimed). ``technology_id`` is 0 where the sample names none and -1 where it is unknown.
    """

    stream: Stream
    device: list[str]
    claimed_carrier: Ints
    technology_id: Ints
    time_ms: Floats
    received_ms: Ints
    values: Floats
    origin: Callable[[int], tuple[str, bytes, int]]
    """Row → topic, the sample's own payload, and its position in the message."""

    def __len__(self) -> int:
        return len(self.device)

    def refuse(self, row: int, reason: Reason, detail: str) -> Refusal:
        """The refusal of one row, with its payload."""
        topic, payload, item = self.origin(row)
        return Refusal(
            reason, detail, topic, payload, item, int(self.received_ms[row]),
            int(self.claimed_carrier[row]), self.stream.name, self.device[row],
        )  # fmt: skip


@dataclass(slots=True)
class Checked:
    """Valid samples of one stream: rows of ``stream.dtype`` and what roll-ups also need."""

    stream: Stream
    rows: Rows
    county: Ints
    received_ms: Ints

    def take(self, index: NDArray[Any]) -> Checked:
        """The samples at the given positions (or under a mask)."""
        return Checked(self.stream, self.rows[index], self.county[index], self.received_ms[index])


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    checked: list[Checked] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def received(self) -> int:
        """Number of samples, refused ones included."""
        return sum(len(c.rows) for c in self.checked) + len(self.refusals)
