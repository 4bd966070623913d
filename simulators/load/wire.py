"""The few bytes of MQTT 3.1.1 and 5 that a publisher needs (OASIS; 2.1 to 2.2, 3.1 to 3.4)."""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import NamedTuple

import mqtt5
import numpy as np
from numpy.typing import NDArray

from shudao.broker_address import BrokerAddress

PUBLISH, QOS_1, DUPLICATE = 0x30, 0x02, 0x08
"""Bits of a PUBLISH packet's first byte."""
DISCONNECT = b"\xe0\x00"
MAX_UNACKNOWLEDGED = 65_535
"""Packet ids of one connection."""
_PUBACK = 0x40
_FAILURE = 0x80
_TIMEOUT_S = 10.0


class Version(IntEnum):
    """Of the protocol, as CONNECT writes it."""

    V3_1_1 = 4
    V5 = 5


class Session(NamedTuple):
    """A connection that the broker has accepted, and how many QoS 1 messages it takes at once."""

    socket: socket.socket
    receive_max: int


class Pubacks(NamedTuple):
    """The whole PUBACKs at the beginning of what was received."""

    ids: NDArray[np.int64]
    refused: NDArray[np.bool_]
    consumed: int
    """Bytes that these were."""


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


def connect(
    client_id: str,
    user: str | None = None,
    password: str | None = None,
    version: Version = Version.V3_1_1,
) -> bytes:
    """CONNECT with a clean session and no keep-alive."""
    if version is Version.V5:
        secret = None if password is None else password.encode()
        return mqtt5.ConnectPacket(
            client_id, username=user, password=secret, clean_start=True, request_problem_info=False
        ).write()
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    body = text("MQTT") + bytes([version, flags, 0, 0])
    body += b"".join(text(t) for t in (client_id, user, password) if t is not None)
    return b"\x10" + remaining_length(len(body)) + body


def publish(topic: str, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH of MQTT 3.1.1, QoS 1."""
    body = text(topic) + struct.pack(">H", packet_id) + payload
    return bytes([PUBLISH | QOS_1]) + remaining_length(len(body)) + body


def open_session(address: BrokerAddress, client_id: str, version: Version) -> Session:
    """A session at the broker; its socket does not block.

    Raises `OSError` when the broker cannot be reached, `ConnectionRefusedError` when it refuses.
    """
    sock = socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.tls is not None:
            sock = address.tls.wrap_socket(sock, server_hostname=address.host)
        sock.sendall(connect(client_id, address.user, address.password, version))
        receive_max = _read_connack(sock, version)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Session(sock, receive_max)


def _read_connack(sock: socket.socket, version: Version) -> int:
    head = _read(sock, 2)
    packet = head + _read(sock, head[1])  # longer than 127 bytes is no broker's
    if head[0] != 0x20:
        raise ConnectionRefusedError(f"it answers CONNECT with packet {head[0]:#x}")
    if version is Version.V3_1_1 or len(packet) == 4:  # a broker that knows no MQTT 5
        if packet[3] or version is Version.V5:
            raise ConnectionRefusedError(f"it refuses with return code {packet[3]}")
        return MAX_UNACKNOWLEDGED
    answer, _ = mqtt5.read(memoryview(packet))
    assert isinstance(answer, mqtt5.ConnAckPacket)
    if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        reason = answer.reason_code.name.lower().replace("_", " ")
        raise ConnectionRefusedError(f"it refuses: {reason}")
    return answer.receive_max


def _read(sock: socket.socket, size: int) -> bytes:
    """So many bytes; of TLS, too, where MSG_WAITALL does not exist."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("it closed the connection instead of an answer")
        data += piece
    return data


def read_pubacks(data: NDArray[np.uint8]) -> Pubacks:
    """Take the whole PUBACKs off the beginning. Raises `ConnectionError` at another packet.

    They are 4 bytes, or 5 with a reason (MQTT 5); nearly all of them have one size.
    """
    ids, refused, at = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], 0
    while len(data) - at >= 2:
        kind, size = int(data[at]), int(data[at + 1]) + 2
        if kind != _PUBACK or not 4 <= size < 128:
            if at:
                break
            raise ConnectionError(f"the broker sent packet {kind:#x} where a PUBACK is due")
        packets = data[at : at + (len(data) - at) // size * size].reshape(-1, size)
        alike = (packets[:, 0] == kind) & (packets[:, 1] == size - 2)
        packets = packets[: len(packets) if alike.all() else int(alike.argmin())]
        if not len(packets):
            break
        ids.append(packets[:, 2].astype(np.int64) << 8 | packets[:, 3])
        refused.append(packets[:, 4] >= _FAILURE if size > 4 else np.zeros(len(packets), np.bool_))
        at += packets.size
    return Pubacks(np.concatenate(ids), np.concatenate(refused), at)
