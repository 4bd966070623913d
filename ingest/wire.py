"""The message contract on the wire: typed JSON decoders, made from the streams' fields.

On a device's topic an object is a sample of the topic's stream and device; on the batch topic it
names both itself. An absent number decodes to NaN, null to None: either is absent in a column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from shudao.streams import BATCH, STREAMS, Stream, StreamName

# Bounded, so that a number of a thousand digits is refused here and not by numpy.
_BoundedInt = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


@dataclass(frozen=True, slots=True)
class Wire:
    """Decoders of a topic's payloads: of a whole message, and of one object."""

    message: Callable[[bytes], Any]
    """Payload → a sample, or a list of them. Raises msgspec's errors."""
    item: Callable[[bytes | msgspec.Raw], Any]
    type: Any
    """What one sample decodes to."""


def _fields(stream: Stream) -> list[tuple[str, Any] | tuple[str, Any, Any]]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [("time", _BoundedInt)]
    if stream.name == "reading":
        return [*fields, ("metric", str), ("value", float)]
    for f in stream.fields:
        kind: Any = _BoundedInt if f.is_integer else float
        fields.append((f.name, kind | None, nan))
    return [*fields, ("technology", str, "")]


def _struct(stream: Stream, *, batch: bool) -> Any:
    extra: list[Any] = [("device", str)] if batch else []
    return msgspec.defstruct(
        f"{stream.name.title()}{'Batch' if batch else ''}Sample",
        extra + _fields(stream),
        kw_only=True,
        gc=False,
        tag_field="stream" if batch else None,
        tag=stream.name if batch else None,
    )


def _wire(kind: Any) -> Wire:
    return Wire(
        msgspec.json.Decoder(kind | list[kind]).decode, msgspec.json.Decoder(kind).decode, kind
    )


_SAMPLES = {name: _struct(stream, batch=False) for name, stream in STREAMS.items()}
_NAMED = {name: _struct(stream, batch=True) for name, stream in STREAMS.items()}
_any_named: Any = _NAMED["radio"] | _NAMED["broadband"] | _NAMED["reading"]

WIRES: dict[str, Wire] = {
    **{name: _wire(kind) for name, kind in _SAMPLES.items()},
    BATCH: _wire(_any_named),
}
"""By the topic's stream."""

STREAM_OF: dict[type, StreamName] = {kind: name for name, kind in _NAMED.items()} | {
    kind: name for name, kind in _SAMPLES.items()
}
"""What a decoded sample is."""

FIELD_GETTERS: dict[StreamName, list[Callable[[Any], float | None]]] = {
    name: [attrgetter(f.name) for f in stream.fields] for name, stream in STREAMS.items()
}
"""Getters of the measured fields, in the order of the stream (not of a reading, whose first field
is a metric's name on the wire)."""
