"""Messages in compact JSON → columns.

One bad payload never costs its neighbours: a message that is no JSON is refused whole, and of
an array only the objects that break the contract are.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np

from ingest.batch import Message, Refusal, Samples
from ingest.reasons import Reason
from shudao.streams import BATCH, STREAMS, TOPIC_PREFIX, Stream, StreamName
from shudao.vocabulary import CARRIER_IDS, TECHNOLOGY_IDS

# Bounded, so that a number of a thousand digits is refused here and not by numpy.
_BoundedInt = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


def _wire_fields(stream: Stream) -> list[tuple[str, Any] | tuple[str, Any, Any]]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [("time", _BoundedInt)]
    if stream.name == "reading":
        return [*fields, ("metric", str), ("value", float)]
    for f in stream.fields:
        kind: Any = _BoundedInt if f.is_integer else float
        fields.append((f.name, kind | None, None))
    return [*fields, ("technology", str, "")]


@dataclass(frozen=True, slots=True)
class _Wire:
    """How a stream looks on the wire: decoders for a whole message and for one object."""

    message: msgspec.json.Decoder[Any]
    item: msgspec.json.Decoder[Any]
    values: Any
    """Getter of the measured fields, in the order of the stream."""


def _make_wire(stream: Stream, *, batch: bool) -> _Wire:
    extra: list[Any] = [("device", str)] if batch else []
    struct = msgspec.defstruct(
        f"{stream.name.title()}{'Batch' if batch else ''}Sample",
        extra + _wire_fields(stream),
        kw_only=True,
        gc=False,
        tag_field="stream" if batch else None,
        tag=stream.name if batch else None,
    )
    names = ["metric", "value"] if stream.name == "reading" else [f.name for f in stream.fields]
    return _Wire(
        msgspec.json.Decoder(struct | list[struct]),  # type: ignore[valid-type]
        msgspec.json.Decoder(struct),
        attrgetter(*names),
    )


_WIRES: dict[StreamName, _Wire] = {n: _make_wire(s, batch=False) for n, s in STREAMS.items()}
_BATCH_WIRES: dict[StreamName, _Wire] = {n: _make_wire(s, batch=True) for n, s in STREAMS.items()}
_BATCH_TYPES = tuple(w.item.type for w in _BATCH_WIRES.values())
_batch_union: Any = _BATCH_TYPES[0] | _BATCH_TYPES[1] | _BATCH_TYPES[2]
_BATCH_MESSAGE = msgspec.json.Decoder(_batch_union | list[_batch_union])
_BATCH_ITEM = msgspec.json.Decoder(_batch_union)
_BATCH_STREAM: dict[type, StreamName] = {w.item.type: n for n, w in _BATCH_WIRES.items()}
MAX_OBJECTS = 50_000
"""In one message: what is larger could fill the memory, and is pushed over HTTP instead."""

_RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)


@dataclass(slots=True)
class _Collected:
    """Samples of one stream while messages are walked; ``where`` is (message, item)."""

    samples: list[Any] = field(default_factory=list)
    where: list[tuple[int, int]] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    carrier: list[int] = field(default_factory=list)


def decode(
    messages: Sequence[Message], metrics: dict[str, int]
) -> tuple[list[Samples], list[Refusal]]:
    """Decode messages to columns, one `Samples` per stream that occurs, and the refused rest.

    ``metrics`` maps the names of readings to their ids.
    """
    collected: dict[StreamName, _Collected] = defaultdict(_Collected)
    refusals: list[Refusal] = []
    for number, message in enumerate(messages):
        _decode_message(number, message, collected, refusals)
    return [
        _columns(STREAMS[name], c, messages, metrics) for name, c in collected.items()
    ], refusals


def _decode_message(
    number: int, message: Message, out: dict[StreamName, _Collected], refusals: list[Refusal]
) -> None:
    parts = message.topic.split("/")
    carrier_id = CARRIER_IDS.get(parts[2], 0) if len(parts) > 2 else 0
    stream = parts[3] if len(parts) > 3 else ""
    device = "/".join(parts[4:])

    def refuse(reason: Reason, detail: str, payload: bytes, item: int = 0) -> None:
        refusals.append(
            Refusal(reason, detail, message.topic, payload, item, message.received_ms,
                    carrier_id, stream, device)
        )  # fmt: skip

    if len(parts) != 5 or not device or "/".join(parts[:2]) != TOPIC_PREFIX:
        return refuse(Reason.TOPIC, f"topic {message.topic!r}", message.payload)
    if not carrier_id:
        return refuse(Reason.UNKNOWN_CARRIER, f"carrier {parts[2]!r}", message.payload)
    if stream != BATCH and stream not in STREAMS:
        return refuse(Reason.UNKNOWN_STREAM, f"stream {stream!r}", message.payload)

    whole, one = (
        (_BATCH_MESSAGE, _BATCH_ITEM)
        if stream == BATCH
        else (_WIRES[stream].message, _WIRES[stream].item)  # type: ignore[index]
    )
    for item, sample in _items(message.payload, whole, one, refuse):
        name: StreamName = _BATCH_STREAM[type(sample)] if stream == BATCH else stream  # type: ignore[assignment]
        c = out[name]
        c.samples.append(sample)
        c.where.append((number, item))
        c.device.append(sample.device if stream == BATCH else device)
        c.carrier.append(carrier_id)
    return None


def _items(
    payload: bytes, whole: msgspec.json.Decoder[Any], one: msgspec.json.Decoder[Any], refuse: Any
) -> Iterable[tuple[int, Any]]:
    """(position, sample) of every good object of a payload; the others are refused."""

    def refuse_length(objects: int) -> None:
        reason = Reason.TOO_MANY if objects else Reason.EMPTY
        refuse(reason, f"the array holds {objects:,} objects", payload)

    try:
        decoded = whole.decode(payload)
        if not isinstance(decoded, list):
            return [(0, decoded)]
        if 0 < len(decoded) <= MAX_OBJECTS:
            return list(enumerate(decoded))
        refuse_length(len(decoded))
        return []
    except msgspec.ValidationError as error:
        if not payload.lstrip().startswith(b"["):
            refuse(Reason.INVALID_FIELD, str(error), payload)
            return []
    except _ERRORS as error:
        refuse(Reason.MALFORMED, _first_line(error), payload)
        return []
    try:
        objects = _RAW_ITEMS.decode(payload)
    except _ERRORS as error:  # broken only behind the first wrong object
        refuse(Reason.MALFORMED, _first_line(error), payload)
        return []
    if len(objects) > MAX_OBJECTS:
        refuse_length(len(objects))
        return []
    good = []
    for item, raw in enumerate(objects):
        try:
            good.append((item, one.decode(raw)))
        except _ERRORS as error:
            refuse(Reason.INVALID_FIELD, _first_line(error), bytes(raw), item)
    return good


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _columns(
    stream: Stream, c: _Collected, messages: Sequence[Message], metrics: dict[str, int]
) -> Samples:
    getter = _WIRES[stream.name].values
    if stream.name == "reading":
        values = np.array(
            [(metrics.get(s.metric, np.nan), s.value) for s in c.samples], dtype=np.float64
        )
        technology = np.zeros(len(c.samples), np.int64)
    else:
        values = np.array([getter(s) for s in c.samples], dtype=np.float64)
        technology = np.array(
            [TECHNOLOGY_IDS.get(s.technology, -1) if s.technology else 0 for s in c.samples],
            dtype=np.int64,
        )
    return Samples(
        stream=stream,
        device=c.device,
        claimed_carrier=np.array(c.carrier, dtype=np.int64),
        technology_id=technology,
        time_ms=np.array([s.time for s in c.samples], dtype=np.float64),
        received_ms=np.array([messages[m].received_ms for m, _ in c.where], dtype=np.int64),
        values=values,
        origin=_origins(messages, c.where),
    )


def _origins(
    messages: Sequence[Message], where: Sequence[tuple[int, int]]
) -> Callable[[int], tuple[str, bytes, int]]:
    """Row → topic, payload of that object alone, position; a message is taken apart once."""

    @functools.cache
    def objects(number: int) -> list[msgspec.Raw]:
        payload = messages[number].payload
        is_array = payload.lstrip().startswith(b"[")
        return _RAW_ITEMS.decode(payload) if is_array else [msgspec.Raw(payload)]

    def origin(row: int) -> tuple[str, bytes, int]:
        number, item = where[row]
        return messages[number].topic, bytes(objects(number)[item]), item

    return origin
