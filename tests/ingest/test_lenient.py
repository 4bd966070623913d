"""The lenient PUBLISH parser: raises only its own error, and is right where the strict one is."""

from __future__ import annotations

import contextlib

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.lenient import MalformedError, Publication, frame_size, parse_publish

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)
TOPICS = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1)
PUBLISHES = st.builds(
    lambda topic, payload, qos, packet_id, **more: mqtt5.PublishPacket(
        topic, payload, qos=mqtt5.QoS(qos), packet_id=packet_id if qos else None, **more
    ),
    TOPICS, st.binary(max_size=300), st.sampled_from([0, 1, 2]),
    st.integers(1, 65_535),
    retain=st.booleans(),
    content_type=st.none() | TEXT,
    message_expiry_interval=st.none() | st.integers(0, 2**32 - 1),
    correlation_data=st.none() | st.binary(max_size=200),
    user_properties=st.lists(st.tuples(TEXT, TEXT), max_size=3),
)  # fmt: skip


@given(PUBLISHES)
def test_it_agrees_with_the_strict_parser(packet: mqtt5.PublishPacket) -> None:
    """On whatever that one writes and reads."""
    frame = packet.write()
    read, size = mqtt5.read(memoryview(frame))
    assert isinstance(read, mqtt5.PublishPacket)
    assert frame_size(frame) == size == len(frame)
    expected = Publication(read.topic, read.payload, read.qos, read.packet_id or 0)
    assert parse_publish(frame) == expected


@given(st.binary(max_size=40), st.integers(0, 15))
def test_it_never_raises_but_its_own_error(rest: bytes, flags: int) -> None:
    """Not on any bytes, nor on any that begin as a PUBLISH of the right length does."""
    for frame in (rest, bytes([0x30 | flags, len(rest)]) + rest):
        with contextlib.suppress(MalformedError):
            frame_size(frame)
            parse_publish(frame)


@given(PUBLISHES, st.data())
def test_a_broken_byte_does_not_make_it_raise_otherwise(
    packet: mqtt5.PublishPacket, data: st.DataObject
) -> None:
    """A valid packet with one byte changed, or cut short."""
    frame = bytearray(packet.write())
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] = data.draw(st.integers(0, 255))
    for broken in (frame, frame[:at]):
        with contextlib.suppress(MalformedError):
            parse_publish(broken)


def test_a_topic_that_is_not_utf_8_is_written_in_escapes() -> None:
    """So it can be quarantined and found again."""
    frame = b"\x32\x0b\x00\x03a\xff\xfe\x00\x07\x02\x01\x01x"
    assert parse_publish(frame) == Publication("a\\xff\\xfe", b"x", 1, 7)


def test_properties_that_cannot_be_skipped_count_as_payload() -> None:
    """Topic and packet id are known, so the message can be quarantined and acknowledged."""
    assert parse_publish(b"\x32\x07\x00\x01t\x00\x07\x55x") == Publication("t", b"\x55x", 1, 7)


@pytest.mark.parametrize(
    ("begin", "size"),
    [(b"", None), (b"\x30", None), (b"\x30\x80", None), (b"\x30\x00", 2), (b"\x30\x80\x01", 131)],
)
def test_the_size_is_known_as_soon_as_it_can_be(begin: bytes, size: int | None) -> None:
    """From the fixed header alone."""
    assert frame_size(begin) == size


def test_a_length_of_five_bytes_is_none() -> None:
    """MQTT 5.0, 1.5.5: at most four."""
    with pytest.raises(MalformedError):
        frame_size(b"\x30\xff\xff\xff\xff\x01")
