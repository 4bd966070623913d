"""The few bytes of MQTT 3.1.1 that a publisher needs (OASIS MQTT 3.1.1, 2.2, 3.1 to 3.4)."""

from __future__ import annotations

import socket
import struct
from urllib.parse import urlsplit

import numpy as np

PUBLISH_QOS_1 = 0x32
DISCONNECT = b"\xe0\x00"
MAX_UNACKNOWLEDGED = 65_535
"""Packet ids of one connection."""
PUBACK_SIZE = 4
_PUBACK = np.array([0x40, 0x02], np.uint8)


def text(value: str) -> bytes:
    """A string after its length word."""
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def remaining_length(size: int) -> bytes:
    """The length of what follows, 7 bits a byte."""
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def connect(client_id: str) -> bytes:
    """CONNECT with a clean session and no keep-alive."""
    body = text("MQTT") + b"\x04\x02\x00\x00" + text(client_id)
    return b"\x10" + remaining_length(len(body)) + body


def publish(topic: str, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH, QoS 1."""
    body = text(topic) + struct.pack(">H", packet_id) + payload
    return bytes([PUBLISH_QOS_1]) + remaining_length(len(body)) + body


def open_socket(url: str, client_id: str) -> socket.socket:
    """A connected session at the broker. Raises `ConnectionError` when it is refused."""
    where = urlsplit(url)
    sock = socket.create_connection((where.hostname, where.port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect(client_id))
    answer = sock.recv(4, socket.MSG_WAITALL)
    if answer != b"\x20\x02\x00\x00":
        sock.close()
        raise ConnectionError(f"the broker answers CONNECT with {answer.hex()}")
    return sock


def check_pubacks(data: bytearray, count: int) -> None:
    """Raises `ConnectionError` unless the data begins with so many PUBACKs."""
    packets = np.frombuffer(data, np.uint8, count * PUBACK_SIZE).reshape(-1, PUBACK_SIZE)
    if not (packets[:, :2] == _PUBACK).all():
        raise ConnectionError("the broker sent something that is no PUBACK")
