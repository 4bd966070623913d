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


class Origin(NamedTuple):
    """Where a sample came from: what is kept of it when it is refused."""

    topic: str
    payload: bytes
    """The sample's own object where it can be cut out, else the whole message."""
    item: int
    """Position in the message; 0 for a single object or a whole message."""
    content_type: str = ""
    """How the payload is to be decoded; empty: compact JSON, or by its shape."""


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
    content_type: str = ""


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
    origin: Callable[[int], Origin]
    """Row → where it came from."""

    def __len__(self) -> int:
        return len(self.device)

    def refuse(self, row: int, reason: Reason, detail: str) -> Refusal:
        """The refusal of one row, with its payload."""
        topic, payload, item, content_type = self.origin(row)
        return Refusal(
            reason, detail, topic, payload, item, int(self.received_ms[row]),
            int(self.claimed_carrier[row]), self.stream.name, self.device[row], content_type,
        )  # fmt: skip


@dataclass(slots=True)
class Checked:
    """Valid samples of one stream: rows of ``stream.dtype`` and what roll-ups also need."""

    stream: Stream
    rows: Rows
    county: Ints
    received_ms: Ints
    refuse: Callable[[int, Reason, str], Refusal]
    """Row → its refusal, should the database not take it."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[Any]) -> Checked:
        """The samples at the given positions (or under a mask)."""
        positions = np.arange(len(self))[index]

        def refuse(row: int, reason: Reason, detail: str) -> Refusal:
            return self.refuse(int(positions[row]), reason, detail)

        return Checked(
            self.stream, self.rows[index], self.county[index], self.received_ms[index], refuse
        )


@dataclass(slots=True)
class Batch:
    """What one transaction writes: each stream at most once."""

    checked: list[Checked] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of samples, refused ones included."""
        return sum(len(c) for c in self.checked) + len(self.refusals)

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches that hold all of it, neither empty unless this one holds one sample."""
        first, second = Batch(), Batch()
        room = len(self) // 2
        for c in self.checked:
            cut = min(room, len(c))
            room -= cut
            first.checked.append(c.take(np.arange(cut)))
            second.checked.append(c.take(np.arange(cut, len(c))))
        first.refusals, second.refusals = self.refusals[:room], self.refusals[room:]
        return first, second
