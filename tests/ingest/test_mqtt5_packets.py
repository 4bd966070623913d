"""Packets out of a buffer: whatever a broker sends, and however it is cut into pieces."""

from __future__ import annotations

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt5 import DisconnectReasonCode as Reason

from ingest.batch import Message
from ingest.sources.connection import PUBREC, acknowledgements
from ingest.sources.mqtt5_packets import MAX_PACKET, OldConnAck, Packets, read_packets
from tests.ingest.test_lenient import PUBLISHES

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def read(data: bytes) -> Packets:
    return read_packets(memoryview(bytearray(data)), 17)


@given(st.lists(PUBLISHES, max_size=5), st.data())
def test_pieces_are_read_as_the_whole_is(
    packets: list[mqtt5.PublishPacket], data: st.DataObject
) -> None:
    """What is left of one read is the beginning of the next; nothing is lost or read twice."""
    stream = b"".join(p.write() for p in packets)
    whole = read(stream)
    assert (whole.consumed, whole.failure, whole.pending) == (len(stream), None, 0)
    cut = data.draw(st.integers(0, len(stream)))
    first = read(stream[:cut])
    second = read(stream[first.consumed :])
    assert first.failure is None
    assert (first.messages + second.messages, first.ids + second.ids) == (
        whole.messages,
        whole.ids,
    )


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: bytes([0x32, len(b)]) + b))
def test_no_bytes_make_it_raise_or_stand_still(data: bytes) -> None:
    """Either a failure is named, or what is left is less than a packet."""
    packets = read(data)
    assert len(packets.messages) == len(packets.ids)
    left = len(data) - packets.consumed
    assert packets.failure or packets.pending > left or left < 5


def test_messages_of_each_kind_are_told_apart() -> None:
    """Packet id, QoS 2's mark, content type; other packets beside them."""
    q1 = mqtt5.PublishPacket(
        "a", b"1", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7, content_type="A/B;c", duplicate=True
    ).write()
    q0 = mqtt5.PublishPacket("b", b"0", retain=True).write()
    q2 = mqtt5.PublishPacket("c", b"2", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=9).write()
    packets = read(q1 + q0 + mqtt5.PingRespPacket().write() + q2)
    assert packets.messages == [
        Message("a", b"1", 17, "a/b"), Message("b", b"0", 17), Message("c", b"2", 17)
    ]  # fmt: skip
    assert packets.ids == [7, 0, 9 | PUBREC]
    assert [type(p) for p in packets.others] == [mqtt5.PingRespPacket]


def test_a_payload_outlives_the_buffer() -> None:
    """The buffer is used again for the next read."""
    buffer = memoryview(bytearray(mqtt5.PublishPacket("a", b"payload").write()))
    [message] = read_packets(buffer, 17).messages
    buffer[:] = bytes(len(buffer))
    assert (message.topic, message.payload) == ("a", b"payload")


def test_a_packet_that_is_too_large_is_known_by_its_beginning() -> None:
    """It is refused before it is here; one of the very limit is waited for."""
    assert read(b"\x30" + _length(MAX_PACKET + 1)).failure is Reason.PACKET_TOO_LARGE
    waits = read(b"\x30" + _length(MAX_PACKET - 5))
    assert (waits.failure, waits.pending) == (None, MAX_PACKET)


def test_a_refusal_of_mqtt_3_is_understood() -> None:
    """Two bytes where MQTT 5 has at least three."""
    assert read(b"\x20\x02\x00\x01").others == [OldConnAck(1)]


def test_acknowledgements_are_four_bytes_each_in_order() -> None:
    """PUBACK for QoS 1, PUBREC for QoS 2, none for QoS 0."""
    assert acknowledgements([7, 0, 0x1234, 9 | PUBREC]) == bytes.fromhex(
        "4002 0007 4002 1234 5002 0009"
    )
    assert mqtt5.PubAckPacket(7).write() == acknowledgements([7])
    assert acknowledgements([0, 0]) == b""


def _length(value: int) -> bytes:
    """A variable byte integer."""
    encoded = b""
    while True:
        value, digit = divmod(value, 128)
        encoded += bytes([digit | (0x80 if value else 0)])
        if not value:
            return encoded
