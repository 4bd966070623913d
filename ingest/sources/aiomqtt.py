"""The portable source: aiomqtt (on paho), MQTT 3.1.1 and 5, any broker, acknowledged by hand.

MQTT 3.1.1 has no receive maximum and no reasons: the broker sends as it likes (at most 65,535
messages, the number of packet ids), so the socket is not read while ``receive_maximum`` are in
flight; and a session taken over looks like a lost connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import aiomqtt
import structlog
from aiomqtt import ProtocolVersion
from paho.mqtt.client import PUBACK, ConnectFlags, MQTTMessage
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.batch import Message
from ingest.sources import SourceOptions
from ingest.sources.connection import PUBCOMP, SETTLE_S, Connection
from ingest.sources.failures import (
    SESSION_TAKEN_OVER,
    ClosedError,
    LostError,
    TakenOverError,
    lost_or_refused,
    subscription_refused,
)
from ingest.sources.media_type import media_type
from ingest.sources.mqtt import MqttSource
from ingest.sources.mqtt5_connection import ANSWER_S, SESSION_EXPIRY_S
from ingest.sources.mqtt5_packets import MAX_PACKET
from shudao.broker_address import BrokerAddress

log = structlog.get_logger(__name__)

_STALL_S = 0.01
_UNSPECIFIED = 128  # paho's word for a connection that was just closed


class AiomqttSource(MqttSource):
    """Batches from any MQTT broker.

    Args:
        options: what is asked for.
        version: of the protocol.
    """

    def __init__(
        self, options: SourceOptions, version: ProtocolVersion = ProtocolVersion.V5
    ) -> None:
        super().__init__(options)
        self._version = version

    async def _connect(self, address: BrokerAddress) -> Connection:
        # Listened to before it connects: what the session kept comes right after the CONNACK.
        connection = AiomqttConnection(address, self._options, self._version, self._on_drop)
        await connection.open()
        return connection


class AiomqttConnection(Connection):
    """One connection. It works below aiomqtt's own queue, which acknowledges messages before we
    see them, takes them without bound, and breaks on topics that are not UTF-8.
    """

    def __init__(
        self,
        address: BrokerAddress,
        options: SourceOptions,
        version: ProtocolVersion,
        on_drop: Callable[[int], None],
    ) -> None:
        super().__init__(options.receive_maximum, on_drop)
        self._address = address
        self._options = options
        self._version = version
        self._client = _client(address, options, version)
        self._paho: PahoClient = self._client._client
        self._paho.manual_ack_set(True)
        self._paho.on_message = self._on_message
        self._paho.on_connect = self._on_connect
        self._outstanding: dict[int, int] = {}
        """What was received under an id and not acknowledged: a hash of topic and payload."""
        self._stalled = False

    async def open(self) -> None:
        """Connect. Raises `LostError`, `RefusedError`."""
        try:
            await _enter(self._client)
        except aiomqtt.MqttError as error:
            self._paho._sock_close()
            if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
                raise lost_or_refused(
                    error.rc.value, str(error.rc), self._address, self._options.client_id
                ) from error
            raise LostError(str(error)) from error
        self._client._disconnected.add_done_callback(self._on_disconnected)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe with QoS 1. In MQTT 5, retained messages come once, with a new session."""
        wanted: dict[str, Any] = {"qos": 1}
        if self._is_mqtt5:
            wanted = {"options": SubscribeOptions(qos=1, retainHandling=1)}
        try:
            [granted] = await self._client.subscribe(topic_filter, **wanted, timeout=math.inf)
        except aiomqtt.MqttError as error:
            raise LostError(str(error)) from error
        code = granted if isinstance(granted, int) else granted.value
        if code != 1:
            raise subscription_refused(topic_filter, self._options.client_id, granted)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; that there was no such subscription is fine too."""
        try:
            await self._client.unsubscribe(topic_filter, timeout=math.inf)
        except aiomqtt.MqttError as error:
            raise LostError(str(error)) from error

    async def acknowledge(self, ids: list[int]) -> None:
        """Acknowledge a batch, once; nothing is done when the connection is gone."""
        for number in ids:
            self._outstanding.pop(number, None)
        await super().acknowledge(ids)

    @property
    def is_full(self) -> bool:
        """Whether reading should stop until some are taken or acknowledged."""
        bounded_by_broker = self._is_mqtt5 or self._leaving
        return super().is_full or (
            not bounded_by_broker and self.in_flight >= self._options.receive_maximum
        )

    async def _settle(self) -> None:
        self._paho._send_pingreq()  # it answers in turn; paho notes when it asked
        deadline = self._loop.time() + SETTLE_S
        while self._paho._ping_t and not self.lost and self._loop.time() < deadline:  # noqa: ASYNC110 - paho tells nobody
            await asyncio.sleep(_STALL_S)

    async def _leave(self, *, end_session: bool) -> None:
        try:
            if self.lost is None:
                await self._client.__aexit__(None, None, None)
            if end_session:  # MQTT 3.1.1 knows only this way
                async with _client(self._address, self._options, self._version, clean=True):
                    pass
        except aiomqtt.MqttError as error:
            log.warning("the connection did not close well", error=str(error))
        finally:
            self.lost = self.lost or LostError("closed")
            self._paho._sock_close()  # aiomqtt leaves it open after some failures

    @property
    def _is_mqtt5(self) -> bool:
        return self._version is ProtocolVersion.V5

    def _send(self, packets: bytes) -> None:
        # All in one: paho's own `ack` makes one system call for each.
        self._paho._packet_queue(PUBACK, packets, 0, 0)

    async def _sent(self) -> None:
        await asyncio.sleep(0)  # the network loop shares this thread; the packets are bounded

    def _on_message(self, _client: PahoClient, _userdata: object, received: MQTTMessage) -> None:
        if self.lost:
            return
        number = received.mid if received.qos else 0
        if received.qos == 2:  # of another subscription of this session; paho sent the PUBREC
            number |= PUBCOMP
        same = hash((received._topic, bytes(received.payload)))
        if number and received.dup and self._outstanding.get(number) == same:
            return  # some MQTT 3.1.1 brokers send again what they miss an acknowledgement of
        # Another message under an id in use is one of its own: mosquitto 2.0 does that to a
        # backlog of more messages than there are ids.
        self._outstanding[number] = same
        topic = received._topic.decode("utf-8", "backslashreplace")
        kind = media_type(getattr(received.properties, "ContentType", ""))
        stamp = time.time_ns() // 1_000_000
        self.receive([Message(topic, bytes(received.payload), stamp, kind)], [number])
        if not self._stalled and self.is_full:
            self._stall()

    def _on_connect(
        self, client: PahoClient, userdata: object, flags: ConnectFlags, code: ReasonCode,
        properties: Properties | None,
    ) -> None:  # fmt: skip
        self.session_present = flags.session_present
        self._client._on_connect(client, userdata, flags, code, properties)

    def _on_disconnected(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        code = getattr(getattr(error, "rc", None), "value", _UNSPECIFIED)
        if code == SESSION_TAKEN_OVER:
            why: LostError = TakenOverError(str(error))
        else:
            why = ClosedError() if code == _UNSPECIFIED else LostError(str(error))
        self.lost = self.lost or why
        self.wake()

    # Reading stops while there is no room

    def _stall(self) -> None:
        """Leave the socket unread, and look again soon."""
        sock = self._paho.socket()
        if sock is None or self.lost:
            return
        self._stalled = self.is_full
        if not self._stalled:
            self._loop.add_reader(sock.fileno(), self._read_socket)
            return
        self._loop.remove_reader(sock.fileno())
        self._paho._ping_t = 0  # the answer to a PINGREQ waits there unread
        self._loop.call_later(_STALL_S, self._stall)

    def _read_socket(self) -> None:
        """What aiomqtt's own reader does, which cannot be had back once it is removed."""
        try:
            self._paho.loop_read()
            while getattr(self._paho.socket(), "pending", int)() > 0:  # decrypted already
                self._paho.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is of no use
            if not self._client._disconnected.done():
                self._client._disconnected.set_exception(error)


def _client(
    address: BrokerAddress, options: SourceOptions, version: ProtocolVersion, *, clean: bool = False
) -> aiomqtt.Client:
    """A client, not yet connected; ``clean`` ends the session that there was."""
    session: dict[str, Any] = {"clean_session": clean}
    if version is ProtocolVersion.V5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0 if clean else SESSION_EXPIRY_S
        properties.ReceiveMaximum = options.receive_maximum
        properties.MaximumPacketSize = MAX_PACKET
        session = {"clean_start": clean, "properties": properties}
    return aiomqtt.Client(
        address.host,
        address.port,
        username=address.user,
        password=address.password,
        identifier=options.client_id,
        protocol=version,
        tls_context=address.tls,
        keepalive=options.keep_alive_s,
        timeout=ANSWER_S,
        **session,
    )


async def _enter(client: aiomqtt.Client) -> None:
    """Connect; where that is cancelled, leave no connection behind.

    aiomqtt connects in a thread, which goes on regardless.
    """
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        entering.add_done_callback(lambda done: _abandon(done, client))
        raise


def _abandon(entered: asyncio.Future[aiomqtt.Client], client: aiomqtt.Client) -> None:
    error = entered.exception()
    log.debug("a connection that nobody waits for is closed", error=str(error or ""))
    client._client._sock_close()
