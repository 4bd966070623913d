"""One session at the broker, and the messages of its devices that are under way.

A message stays in its slot of the ring until its PUBACK; when the connection breaks, what has none
is sent again over the next one, marked as a duplicate. Nothing here blocks.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.load import wire
from simulators.load.frames import Frames

_READ = 65_536
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Acknowledged(NamedTuple):
    """Messages whose PUBACK came: when each was due (or sent), and how many were refused."""

    due: NDArray[np.float64]
    refused: int


class Connection:
    """Sends the frames of some devices, QoS 0 or 1; without a session until `attach`.

    `ConnectionError` and `OSError` of `send` and `receive` say that the connection broke: `detach`,
    open another session, `attach`.
    """

    def __init__(self, frames: Frames, *, qos: int = 1) -> None:
        self.frames = frames
        self.socket: socket.socket | None = None
        self._qos = qos
        self._window = frames.ring
        self._made = self._done = 0
        """Messages made; the oldest that is still under way."""
        self._due = np.zeros(frames.ring)
        self._waits = np.zeros(frames.ring, np.bool_)
        self._unsent: deque[memoryview] = deque()
        self._rest = b""
        """Of a PUBACK that has not come whole."""

    @property
    def unacknowledged(self) -> int:
        """Messages under way; of QoS 0 those that the socket did not take yet."""
        return self._made - self._done

    @property
    def is_sending(self) -> bool:
        """Whether the socket did not take all yet."""
        return bool(self._unsent)

    @property
    def room(self) -> int:
        """How many messages may be published in one go now."""
        if self.socket is None or self._unsent:
            return 0
        to_the_end = self.frames.ring - self._made % self.frames.ring
        return min(to_the_end, self._window - self.unacknowledged)

    def publish(self, messages: int, first_number: int, due: NDArray[np.float64] | float) -> int:
        """Begin to send messages, at most `room`; returns the sum of their RSRP."""
        slot = self._made % self.frames.ring
        rsrp_sum_x100 = self.frames.take(slot, messages, first_number)
        self._due[slot : slot + messages] = due
        self._waits[slot : slot + messages] = True
        self._made += messages
        self._unsent.append(self.frames.view(slot, messages))
        return rsrp_sum_x100

    def send(self) -> None:
        """Hand on what the socket takes."""
        assert self.socket is not None
        try:
            while self._unsent:
                part = self._unsent[0]
                part = part[self.socket.send(part) :]
                if part:
                    self._unsent[0] = part
                else:
                    self._unsent.popleft()
        except _WOULD_BLOCK:
            return
        if not self._qos:
            self._done = self._made

    def receive(self) -> Acknowledged:
        """Take the PUBACKs that came; that the connection broke after them is raised next time."""
        due: list[NDArray[np.float64]] = []
        refused = 0
        while data := self._read(is_first=not due):
            pubacks = wire.read_pubacks(np.frombuffer(data, np.uint8))
            self._rest = data[pubacks.consumed :]
            slots = pubacks.ids - 1
            due.append(self._due[slots])
            self._waits[slots] = False
            refused += int(pubacks.refused.sum())
        while self._done < self._made and not self._waits[self._done % self.frames.ring]:
            self._done += 1
        return Acknowledged(np.concatenate(due) if due else np.zeros(0), refused)

    def _read(self, *, is_first: bool) -> bytes:
        """What there is to look at; empty when nothing more came."""
        assert self.socket is not None
        try:
            data = self.socket.recv(_READ)
        except _WOULD_BLOCK:
            return b""
        except OSError:
            data = b""
        if not data and is_first:
            raise ConnectionResetError("a connection broke, or the broker closed it")
        return self._rest + data if data else b""

    def attach(self, session: wire.Session) -> int:
        """Go on over this session; returns how many messages are sent again."""
        self.socket = session.socket
        self._window = min(self.frames.ring, session.receive_max)
        again = [i % self.frames.ring for i in range(self._done, self._made)]
        again = [slot for slot in again if self._waits[slot]]
        for slot in again:
            self.frames.mark_duplicate(slot)
        self._unsent.extend(self.frames.view(slot, 1) for slot in again)
        return len(again)

    def detach(self) -> None:
        """Forget a session that broke. Messages of QoS 0 are not sent again."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self._rest = None, b""
        self._unsent.clear()
        if not self._qos:
            self._done = self._made

    def close(self) -> None:
        """Leave the broker in order, so far as it can be reached."""
        if self.socket is not None:
            self.socket.setblocking(True)
            self.socket.settimeout(1.0)
            if not self._unsent:
                self.socket.sendall(wire.DISCONNECT)
            self.socket.close()
            self.socket = None
