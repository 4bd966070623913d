"""MQTT 5 packets out of a buffer: the loop that every message goes through.

On the parser of the PyPI package mqtt5 (Rust). What it cannot read is read leniently; nothing
that a broker sends makes this raise.
"""

from __future__ import annotations

from typing import NamedTuple

import mqtt5
from mqtt5 import DisconnectReasonCode as Reason

from ingest.batch import Message
from ingest.sources.connection import PUBREC
from ingest.sources.lenient import MalformedError, Publication, frame_size, parse_publish
from ingest.sources.media_type import media_type

MAX_PACKET = 16 * 2**20 + 2**17
"""Bytes of the largest packet that we take: a payload of 16 MiB, its topic, its properties."""
_CONNACK = 2


class OldConnAck(NamedTuple):
    """A refusal in the form of MQTT 3.1.1: the broker does not know MQTT 5."""

    code: int


class Packets(NamedTuple):
    """The whole packets at the beginning of a buffer."""

    messages: list[Message]
    ids: list[int]
    """One a message: its packet id, with `PUBREC` for QoS 2; 0 for QoS 0."""
    others: list[mqtt5.Packet | OldConnAck]
    consumed: int
    """Bytes of the buffer that these were."""
    pending: int
    """Bytes of the packet that comes next, where its beginning says so; else 0."""
    failure: Reason | None
    """Why what follows cannot be read."""


class _EndError(Exception):
    """Nothing more can be read, for now or because of a failure."""

    def __init__(self, pending: int, failure: Reason | None) -> None:
        self.pending, self.failure = pending, failure


def read_packets(window: memoryview, received_ms: int) -> Packets:
    """Take the whole packets out of a buffer; the time is that of their arrival."""
    messages: list[Message] = []
    ids: list[int] = []
    others: list[mqtt5.Packet | OldConnAck] = []
    add, add_id, read, new = messages.append, ids.append, mqtt5.read, tuple.__new__
    at, end, stop = 0, len(window), _EndError(0, None)
    packet: mqtt5.Packet | Publication | OldConnAck
    while at < end:  # nothing in here is cheap 50,000 times a second
        try:
            packet, size = read(window[at:])
        except BaseException as error:  # noqa: BLE001 - its panics are no `Exception`
            try:
                packet, size = _read_leniently(window[at:], error)
            except _EndError as known:
                stop = known
                break
        first = window[at]
        if first & 0xF0 == 0x30:
            kind = packet.content_type  # type: ignore[union-attr]
            kind = "" if kind is None else media_type(kind)
            add(new(Message, (packet.topic, packet.payload, received_ms, kind)))  # type: ignore[union-attr]
            if first & 6 == 2:
                add_id(packet.packet_id)  # type: ignore[union-attr, arg-type]
            else:
                add_id(packet.packet_id | PUBREC if first & 6 else 0)  # type: ignore[union-attr, operator]
        else:
            others.append(packet)  # type: ignore[arg-type]
        at += size
    return Packets(messages, ids, others, at, stop.pending, stop.failure)


def _read_leniently(rest: memoryview, error: BaseException) -> tuple[Publication | OldConnAck, int]:
    """What the parser failed to read at the beginning of ``rest``. Raises `_EndError`."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error  # an interrupt, not the parser's
    try:
        size = frame_size(rest)
        if size is None or size > len(rest):
            too_large = size is not None and size > MAX_PACKET
            raise _EndError(size or 0, Reason.PACKET_TOO_LARGE if too_large else None)
        if rest[0] >> 4 == _CONNACK and size == 4:
            return OldConnAck(rest[3]), size
        return parse_publish(rest[:size]), size
    except MalformedError as malformed:
        raise _EndError(0, Reason.MALFORMED_PACKET) from malformed
