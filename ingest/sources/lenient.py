"""Read an MQTT 5 PUBLISH that a strict parser refuses: what has to be known to get rid of it.

A message that cannot be read (a topic that is not UTF-8, say) must not stop the stream, and must
not be delivered for ever: it is handed on as well as it can be read, quarantined, and acknowledged.
The layout is MQTT 5.0, sections 2.1 (fixed header), 1.5.5 (variable byte integer) and 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

Frame = bytes | bytearray | memoryview
_PUBLISH = 3


class MalformedError(ValueError):
    """Not even this can be read."""


class Publication(NamedTuple):
    """What a PUBLISH says, its properties apart."""

    topic: str
    """Bytes that are not UTF-8 as ``\\xff``."""
    payload: bytes
    qos: int
    packet_id: int
    """0 for QoS 0."""
    content_type: str | None = None
    """Not read."""


def frame_size(frame: Frame) -> int | None:
    """Bytes of the packet that begins here, its fixed header included.

    None while too little of it is there to say. Raises `MalformedError` when its length is none.
    """
    length = _variable_integer(frame, 1)
    return None if length is None else length[1] + length[0]


def parse_publish(frame: Frame) -> Publication:
    """Read one whole PUBLISH. Properties that cannot be skipped count as payload.

    Raises `MalformedError` when topic or packet id are missing, or the QoS is 3.
    """
    body, qos = _publish_body(bytes(frame))
    topic_end = 2 + int.from_bytes(body[:2], "big")
    id_end = topic_end + (2 if qos else 0)
    if id_end > len(body):
        raise MalformedError("a PUBLISH ends within its topic or packet id")
    topic = body[2:topic_end].decode("utf-8", "backslashreplace")
    packet_id = int.from_bytes(body[topic_end:id_end], "big")
    return Publication(topic, body[_after_properties(body, id_end) :], qos, packet_id)


def _publish_body(frame: bytes) -> tuple[bytes, int]:
    """What follows the fixed header, and the QoS."""
    length = _variable_integer(frame, 1)
    if length is None or length[1] + length[0] != len(frame) or frame[0] >> 4 != _PUBLISH:
        raise MalformedError("not one whole PUBLISH")
    qos = frame[0] >> 1 & 3
    if qos == 3:
        raise MalformedError("a PUBLISH of QoS 3")
    return frame[length[1] :], qos


def _after_properties(body: bytes, start: int) -> int:
    """Where the payload begins."""
    try:
        length = _variable_integer(body, start)
    except MalformedError:
        return start
    if length is None or length[1] + length[0] > len(body):
        return start
    return length[1] + length[0]


def _variable_integer(frame: Frame, start: int) -> tuple[int, int] | None:
    """The integer that begins there and where it ends; None where the bytes run out."""
    value = 0
    for i in range(4):
        if start + i >= len(frame):
            return None
        value |= (frame[start + i] & 0x7F) << (7 * i)
        if frame[start + i] < 0x80:
            return value, start + i + 1
    raise MalformedError("a length of more than four bytes")
