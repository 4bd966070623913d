"""Messages → columns: compact JSON here, other shapes through `ingest.formats`.

One bad payload never costs its neighbours: a message that cannot be taken apart is refused whole,
and of an array only the objects that break the contract are. Compact JSON is tried first, unless
the message states another content type: it is nearly all that arrives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ingest import formats
from ingest.batch import Floats, Ints, Message, Origin, Refusal, Samples
from ingest.reasons import Reason
from ingest.wire import FIELD_GETTERS, STREAM_OF, WIRES, Wire
from shudao.streams import BATCH, STREAMS, TOPIC_PREFIX, StreamName
from shudao.vocabulary import CARRIER_IDS, TECHNOLOGY_IDS

MAX_OBJECTS = 50_000
"""In one message: what is larger could fill the memory, and is pushed over HTTP instead."""

KEPT_WHOLE = 16
"""A message of another format that holds more samples or faults is not kept for each of them."""

_RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
_TIME, _DEVICE = attrgetter("time"), attrgetter("device")


class _Route(NamedTuple):
    """What a topic says of all its messages, but for the device."""

    carrier_id: int
    stream: str
    wire: Wire


_ROUTES: dict[tuple[str, str], _Route] = {
    (carrier, stream): _Route(carrier_id, stream, wire)
    for carrier, carrier_id in CARRIER_IDS.items()
    for stream, wire in WIRES.items()
}
_ROOT, _VERSION = TOPIC_PREFIX.split("/")


@dataclass(slots=True)
class _Collected:
    """Samples of one stream while messages are walked; equally long lists."""

    samples: list[Any] = field(default_factory=list)
    message: list[int] = field(default_factory=list)
    item: list[int] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    carrier: list[int] = field(default_factory=list)


class _Decoding:
    """One call of `decode`: what was found so far."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.collected: dict[StreamName, _Collected] = {n: _Collected() for n in STREAMS}
        self.refusals: list[Refusal] = []
        self.foreign: dict[int, list[formats.Object]] = {}
        """Messages in another shape than compact JSON: what they were translated to."""

    def walk(self) -> None:
        """Take every message. This loop is the hot path: one sample a message, as devices send."""
        by_type = {kind: self.collected[name] for kind, name in STREAM_OF.items()}
        for number, (topic, payload, _, content_type) in enumerate(self.messages):
            parts = topic.split("/")
            if len(parts) != 5 or parts[0] != _ROOT or parts[1] != _VERSION or not parts[4]:
                self._refuse(number, Reason.TOPIC, f"topic {topic!r}")
                continue
            route = _ROUTES.get((parts[2], parts[3]))
            if route is None:
                self._refuse_route(number, parts)
                continue
            if content_type and (form := formats.named(content_type)):
                self._take_foreign(number, route, parts[4], form)
                continue
            try:
                sample = route.wire.message(payload)
            except _ERRORS as error:
                self._take_apart(number, route, parts[4], error)
                continue
            out = by_type.get(type(sample))
            if out is None:
                self._take_array(number, route, parts[4], sample)
                continue
            out.samples.append(sample)
            out.message.append(number)
            out.item.append(0)
            out.device.append(parts[4] if route.stream != BATCH else sample.device)
            out.carrier.append(route.carrier_id)

    def _take(
        self, number: int, route: _Route, device: str, items: Sequence[int], samples: list[Any]
    ) -> None:
        """Take samples of one message, all of one stream."""
        out = self.collected[STREAM_OF[type(samples[0])]]
        out.samples += samples
        out.message += repeat(number, len(samples))
        out.item += items
        is_named = route.stream == BATCH
        out.device += map(_DEVICE, samples) if is_named else repeat(device, len(samples))
        out.carrier += repeat(route.carrier_id, len(samples))

    def _take_array(self, number: int, route: _Route, device: str, samples: list[Any]) -> None:
        if not 0 < len(samples) <= MAX_OBJECTS:
            self._refuse_length(number, len(samples))
        elif route.stream != BATCH or len({*map(type, samples)}) == 1:
            self._take(number, route, device, range(len(samples)), samples)
        else:
            for item, sample in enumerate(samples):
                self._take(number, route, device, (item,), [sample])

    def _take_apart(self, number: int, route: _Route, device: str, error: Exception) -> None:
        """A message that is no compact JSON, or that holds a wrong object."""
        payload = self.messages[number].payload
        if form := formats.recognise("", payload):
            self._take_foreign(number, route, device, form)
            return
        is_json = isinstance(error, msgspec.ValidationError)
        if not is_json or not payload.lstrip().startswith(b"["):
            reason = Reason.INVALID_FIELD if is_json else Reason.MALFORMED
            self._refuse(number, reason, _first_line(error))
            return
        try:
            objects = _RAW_ITEMS.decode(payload)
        except _ERRORS as broken:  # only behind the first wrong object
            self._refuse(number, Reason.MALFORMED, _first_line(broken))
            return
        if len(objects) > MAX_OBJECTS:
            self._refuse_length(number, len(objects))
            return
        for item, raw in enumerate(objects):
            try:
                self._take(number, route, device, (item,), [route.wire.item(raw)])
            except _ERRORS as wrong:
                origin = (bytes(raw), item)
                self._refuse(number, Reason.INVALID_FIELD, _first_line(wrong), origin)

    def _take_foreign(self, number: int, route: _Route, device: str, form: formats.Format) -> None:
        """A message in another shape, translated to objects of the contract."""
        payload = self.messages[number].payload
        try:
            found = form.translate(payload, route.stream)
        except formats.FormatError as error:
            self._refuse(number, error.reason, error.detail)
            return
        total = len(found.objects) + len(found.faults)
        if not 0 < total <= MAX_OBJECTS:
            self._refuse_length(number, total)
            return
        self.foreign[number] = found.objects
        for item, translated in enumerate(found.objects):
            try:
                sample = _convert(translated, route, form)
            except _ERRORS as error:
                detail = f"{form.name}: {_first_line(error)}"
                origin = (self.kept_of_foreign(number, item), item)
                self._refuse(number, Reason.INVALID_FIELD, detail, origin)
            else:
                self._take(number, route, device, (item,), [sample])
        for item, fault in enumerate(_summed_up(found.faults), len(found.objects)):
            detail = f"{form.name}, part {fault.position}: {fault.detail}"
            self._refuse(number, fault.reason, detail, (payload, item))

    def kept_of_foreign(self, number: int, item: int) -> bytes:
        """What is kept of a translated sample that is refused."""
        objects = self.foreign[number]
        if len(objects) <= KEPT_WHOLE:
            return self.messages[number].payload
        return msgspec.json.encode(objects[item])

    def _refuse(
        self, number: int, reason: Reason, detail: str, origin: tuple[bytes, int] | None = None
    ) -> None:
        """Refuse a message, or the part of it that ``origin`` (payload, item) names."""
        message = self.messages[number]
        payload, item = origin or (message.payload, 0)
        is_whole = payload is message.payload
        parts = [*message.topic.split("/"), "", "", "", ""]
        self.refusals.append(
            Refusal(
                reason, detail, message.topic, payload, item, message.received_ms,
                CARRIER_IDS.get(parts[2], 0), parts[3],
                "/".join(message.topic.split("/")[4:]), message.content_type if is_whole else "",
            )
        )  # fmt: skip

    def _refuse_route(self, number: int, parts: list[str]) -> None:
        if parts[2] not in CARRIER_IDS:
            self._refuse(number, Reason.UNKNOWN_CARRIER, f"carrier {parts[2]!r}")
        else:
            self._refuse(number, Reason.UNKNOWN_STREAM, f"stream {parts[3]!r}")

    def _refuse_length(self, number: int, objects: int) -> None:
        reason = Reason.TOO_MANY if objects else Reason.EMPTY
        self._refuse(number, reason, f"the array holds {objects:,} objects")


def _convert(translated: formats.Object, route: _Route, form: formats.Format) -> Any:
    """A translated object as a sample of its topic. Raises msgspec's errors."""
    stream = translated.get("stream", route.stream)
    if route.stream == BATCH:
        if not translated.get("device"):
            raise msgspec.ValidationError(
                "the payload names no device: publish it on the device's own topic"
            )
    elif stream != route.stream:
        raise msgspec.ValidationError(
            f"a sample of {stream} on a topic of {route.stream}: publish it under {stream}"
        )
    return msgspec.convert(translated, route.wire.type)


def _summed_up(faults: list[formats.Fault]) -> list[formats.Fault]:
    """Faults of one message; beyond `KEPT_WHOLE` one stands for the rest."""
    if len(faults) <= KEPT_WHOLE:
        return faults
    position, reason, detail = faults[KEPT_WHOLE - 1]
    rest = len(faults) - KEPT_WHOLE
    last = formats.Fault(position, reason, f"{detail}; {rest:,} more parts are wrong")
    return [*faults[: KEPT_WHOLE - 1], last]


def decode(
    messages: Sequence[Message], metrics: dict[str, int]
) -> tuple[list[Samples], list[Refusal]]:
    """Decode messages to columns, one `Samples` per stream that occurs, and the refused rest.

    ``metrics`` maps the names of readings to their ids.
    """
    decoding = _Decoding(messages)
    decoding.walk()
    found = [
        _columns(name, c, decoding, metrics) for name, c in decoding.collected.items() if c.samples
    ]
    return found, decoding.refusals


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _columns(
    name: StreamName, c: _Collected, decoding: _Decoding, metrics: dict[str, int]
) -> Samples:
    received = np.array([m.received_ms for m in decoding.messages], dtype=np.int64)
    return Samples(
        stream=STREAMS[name],
        device=c.device,
        claimed_carrier=np.array(c.carrier, dtype=np.int64),
        technology_id=_technologies(name, c.samples),
        time_ms=np.array([*map(_TIME, c.samples)], dtype=np.float64),
        received_ms=received[c.message],
        values=_values(name, c.samples, metrics),
        origin=_origins(decoding, c.message, c.item),
    )


def _values(name: StreamName, samples: list[Any], metrics: dict[str, int]) -> Floats:
    """Shape (n, fields), a column contiguous in memory."""
    if name == "reading":
        columns: list[Iterable[float | None]] = [
            [metrics.get(s.metric, np.nan) for s in samples],
            [s.value for s in samples],
        ]
    else:
        columns = [map(getter, samples) for getter in FIELD_GETTERS[name]]
    values = np.empty((len(columns), len(samples)))
    for i, column in enumerate(columns):
        values[i] = np.fromiter(column, np.float64, len(samples))
    return values.T


def _technologies(name: StreamName, samples: list[Any]) -> Ints:
    if name == "reading":
        return np.zeros(len(samples), np.int64)
    ids = {technology: TECHNOLOGY_IDS.get(technology, -1) for technology in TECHNOLOGY_IDS}
    ids[""] = 0
    return np.array([ids.get(s.technology, -1) for s in samples], dtype=np.int64)


def _origins(decoding: _Decoding, message: list[int], item: list[int]) -> Callable[[int], Origin]:
    """Row → where it came from; a message is taken apart once."""
    messages = decoding.messages

    @functools.cache
    def objects(number: int) -> list[msgspec.Raw]:
        payload = messages[number].payload
        is_array = payload.lstrip().startswith(b"[")
        return _RAW_ITEMS.decode(payload) if is_array else [msgspec.Raw(payload)]

    def origin(row: int) -> Origin:
        sent = messages[message[row]]
        if message[row] in decoding.foreign:
            payload = decoding.kept_of_foreign(message[row], item[row])
            is_whole = payload is sent.payload
            return Origin(sent.topic, payload, item[row], sent.content_type if is_whole else "")
        return Origin(sent.topic, bytes(objects(message[row])[item[row]]), item[row])

    return origin
