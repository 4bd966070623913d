"""A connection over MQTT 5, on the parser of the PyPI package mqtt5, straight on the event loop.

What one read of the socket brings is handled at once: one time stamp, one pass, and one write for
the acknowledgements of a whole batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

import mqtt5
from mqtt5 import DisconnectReasonCode as Reason

from ingest.sources import SourceOptions
from ingest.sources.connection import SETTLE_S, Connection
from ingest.sources.failures import (
    SESSION_TAKEN_OVER,
    ClosedError,
    LostError,
    OldBrokerError,
    TakenOverError,
    UnansweredError,
    lost_or_refused,
    subscription_refused,
)
from ingest.sources.mqtt5_packets import MAX_PACKET, OldConnAck, read_packets
from shudao.broker_address import BrokerAddress

SESSION_EXPIRY_S = 7 * 86_400
ANSWER_S = 10.0
"""How long the broker may take to connect, to answer, to close."""
BUFFER = 2**18
REST_S = 0.01
"""After a read the socket is left alone for so long: many small packets then cost one wake-up."""
_PACKET_ID = 1  # of SUBSCRIBE and UNSUBSCRIBE, one of which is sent at a time
_PINGREQ = mqtt5.PingReqPacket().write()
_P = TypeVar("_P")


async def open_connection(
    address: BrokerAddress, options: SourceOptions, on_drop: Callable[[int], None]
) -> Mqtt5Connection:
    """Connect the socket. Raises `LostError`."""
    make = functools.partial(Mqtt5Connection, address, options, on_drop)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_S):
            _, connection = await loop.create_connection(
                make, address.host, address.port, ssl=address.tls
            )
    except (OSError, UnicodeError) as error:  # a timeout is an OSError
        raise LostError(str(error) or "no answer") from error
    return connection


class Mqtt5Connection(Connection, asyncio.BufferedProtocol):
    """One connection; the event loop calls the methods of `asyncio.BufferedProtocol`."""

    def __init__(
        self, address: BrokerAddress, options: SourceOptions, on_drop: Callable[[int], None]
    ) -> None:
        super().__init__(options.receive_maximum, on_drop)
        self._address = address
        self._options = options
        self._transport: Any = None  # uvloop's and asyncio's have no common base
        self._buffer = memoryview(bytearray(BUFFER))
        self._filled = 0
        self._answer: asyncio.Future[mqtt5.Packet | OldConnAck] | None = None
        self._started = False
        self._heard = True
        self._pings = 0  # that are not answered yet
        self._pings_answered = asyncio.Event()
        self._resting: asyncio.TimerHandle | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, when the socket (and TLS) stands."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go; there is always room, see `_keep`."""
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Called when so many bytes were put there."""
        if self.lost:
            return
        self._heard = True
        self._filled += nbytes
        drained = self._filled < len(self._buffer)
        packets = read_packets(self._buffer[: self._filled], time.time_ns() // 1_000_000)
        if packets.messages:
            self.receive(packets.messages, packets.ids)
        for packet in packets.others:
            self._handle(packet)
        if packets.failure is not None:
            self._fail(packets.failure, "what cannot be read")
        self._keep(packets.consumed, packets.pending)
        if self._started and (self.is_full or (drained and packets.pending <= BUFFER)):
            self._rest()

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, when the socket is closed by whomever."""
        closed = isinstance(exc, ConnectionResetError | None)
        reason = ClosedError() if self._started else UnansweredError()
        self._lose(reason if closed else LostError(str(exc)))
        for timer in (self._resting, self._pinging):
            if timer is not None:
                timer.cancel()
        for event in (self._closed, self._writable, self._pings_answered):
            event.set()

    # The source's side

    async def start(self, *, clean: bool) -> None:
        """Introduce ourselves; ``clean``: with no session before or after.

        Raises `LostError`, `RefusedError`.
        """
        options, password = self._options, self._address.password
        hello = mqtt5.ConnectPacket(
            options.client_id,
            username=self._address.user,
            password=None if password is None else password.encode(),
            clean_start=clean,
            keep_alive=options.keep_alive_s,
            session_expiry_interval=0 if clean else SESSION_EXPIRY_S,
            receive_max=options.receive_maximum,
            max_packet_size=MAX_PACKET,
        )
        answer = await self._ask(hello.write(), mqtt5.ConnAckPacket, ANSWER_S)
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            reason = _told(answer)
            raise lost_or_refused(answer.reason_code, reason, self._address, options.client_id)
        self.session_present = answer.session_present
        self._started = True
        keep_alive_s = answer.server_keep_alive
        if keep_alive_s is None:
            keep_alive_s = options.keep_alive_s
        if keep_alive_s:
            self._ping_in(keep_alive_s * 0.75)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe with QoS 1. Retained messages come once, with a new session."""
        wanted = mqtt5.TopicFilter(
            topic_filter,
            max_qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain_handling=mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
        )
        packet = mqtt5.SubscribePacket(_PACKET_ID, [wanted])
        answer = await self._ask(packet.write(), mqtt5.SubAckPacket)
        if answer.reason_codes != [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]:
            granted = ", ".join(_name(code) for code in answer.reason_codes)
            raise subscription_refused(topic_filter, self._options.client_id, granted)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; that there was no such subscription is fine too."""
        packet = mqtt5.UnsubscribePacket(_PACKET_ID, [topic_filter])
        await self._ask(packet.write(), mqtt5.UnsubAckPacket)

    async def _settle(self) -> None:
        if not self._started:
            return
        self._send_ping()  # it answers in turn
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._pings_answered.wait()

    async def _leave(self, *, end_session: bool) -> None:
        if self.lost is None and self._started:
            expiry = 0 if end_session else None
            self._send(mqtt5.DisconnectPacket(session_expiry_interval=expiry).write())
        self._lose(LostError("closed"))
        self._transport.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._closed.wait()
        finally:
            self._transport.abort()

    def _send(self, packets: bytes) -> None:
        self._transport.write(packets)

    async def _sent(self) -> None:
        await self._writable.wait()

    # What is between them

    async def _ask(self, packet: bytes, kind: type[_P], patience_s: float | None = None) -> _P:
        """Send a packet and wait for the one that answers it, or until the connection is lost."""
        if self.lost:
            raise self.lost
        self._answer = self._loop.create_future()
        self._send(packet)
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._answer
        except TimeoutError as error:
            raise UnansweredError from error
        finally:
            self._answer = None
        if isinstance(answer, OldConnAck):
            raise OldBrokerError(self._address)
        if not isinstance(answer, kind):
            self._fail(Reason.PROTOCOL_ERROR, f"an unexpected {type(answer).__name__}")
            raise LostError(f"the broker sent an unexpected {type(answer).__name__}")
        return answer

    def _handle(self, packet: mqtt5.Packet | OldConnAck) -> None:
        """Any packet that is no message."""
        if self.lost:
            return
        match packet:
            case mqtt5.PingRespPacket():
                self._pings -= 1
                if self._pings <= 0:
                    self._pings_answered.set()
            case mqtt5.PubRelPacket():  # after our PUBREC, which was sent after the commit
                self._send(mqtt5.PubCompPacket(packet.packet_id).write())
            case mqtt5.DisconnectPacket():
                kind = TakenOverError if packet.reason_code == SESSION_TAKEN_OVER else LostError
                self._lose(kind(f"the broker disconnected us: {_told(packet)}"))
            case _ if self._answer is not None and not self._answer.done():
                self._answer.set_result(packet)
            case _:
                self._fail(Reason.PROTOCOL_ERROR, f"an unexpected {type(packet).__name__}")

    def _fail(self, reason: Reason, sent: str) -> None:
        """Leave a broker that breaks the protocol."""
        if self._started and self.lost is None:
            self._send(mqtt5.DisconnectPacket(reason_code=reason).write())
        self._lose(LostError(f"the broker sent {sent} ({_name(reason)})"))

    def _lose(self, why: LostError) -> None:
        """From here on nothing is received or acknowledged; the first reason counts."""
        if self.lost is None:
            self.lost = why
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self.lost)
        self.wake()

    def _keep(self, consumed: int, pending: int) -> None:
        """Move the beginning of the next packet to the front, where there is room for all of it."""
        if self.lost:
            consumed, pending = self._filled, 0  # nothing more is read
        rest = self._buffer[consumed : self._filled]
        size = max(BUFFER, pending)
        if size != len(self._buffer) and (pending or not rest):
            self._buffer = memoryview(bytearray(size))
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

    def _rest(self) -> None:
        """Leave the socket alone: for a moment, or until there is room."""
        if self.lost is None and self._resting is None:
            self._transport.pause_reading()
            self._resting = self._loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        """Read again, if there is room."""
        self._resting = None
        if self.is_full:
            self._heard = True  # what the broker says meanwhile is not listened to
            self._resting = self._loop.call_later(REST_S * 10, self._go_on)
        elif self.lost is None:
            self._transport.resume_reading()

    def _send_ping(self) -> None:
        self._pings += 1
        self._pings_answered.clear()
        self._send(_PINGREQ)

    def _ping_in(self, period_s: float) -> None:
        due = self._loop.time() + period_s
        self._pinging = self._loop.call_later(period_s, self._ping, period_s, due)

    def _ping(self, period_s: float, due: float) -> None:
        """Ask for a sign of life, and miss the one that was asked for a period ago.

        Not where we ourselves did not look: there was no room, or the event loop came too late.
        """
        if not self._heard and self._loop.time() - due < 1:
            self._lose(LostError(f"the broker has been silent for {period_s:.1f} s"))
            self._transport.abort()
            return
        self._heard = False
        self._send_ping()
        self._ping_in(period_s)


def _name(code: Any) -> str:
    """A reason code in words."""
    return str(code.name).lower().replace("_", " ")


def _told(packet: mqtt5.ConnAckPacket | mqtt5.DisconnectPacket) -> str:
    """The reason that the broker gives."""
    words = f": {packet.reason_str}" if packet.reason_str else ""
    return f"{_name(packet.reason_code)}{words}"
