"""The bytes of MQTT that are our own."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.load import wire


def test_pubacks_of_both_sizes_are_read() -> None:
    """MQTT 3.1.1's 4 bytes, MQTT 5's 5 with a reason; what is not whole waits."""
    data = bytes.fromhex("400200014002010240030003104003000487400200")
    pubacks = wire.read_pubacks(np.frombuffer(data, np.uint8))
    assert pubacks.ids.tolist() == [1, 258, 3, 4]
    assert pubacks.refused.tolist() == [False, False, False, True]
    assert pubacks.consumed == len(data) - 3


def test_a_packet_that_is_no_puback_is_an_error() -> None:
    """Such as the broker's DISCONNECT; the PUBACKs before it count."""
    data = np.frombuffer(bytes.fromhex("40020001e0018e"), np.uint8)
    pubacks = wire.read_pubacks(data)
    assert (pubacks.ids.tolist(), pubacks.consumed) == ([1], 4)
    with pytest.raises(ConnectionError, match="0xe0"):
        wire.read_pubacks(data[4:])
