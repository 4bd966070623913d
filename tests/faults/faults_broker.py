"""Faults of the broker and of its sessions: a clean restart, and a thief of the client id.

What is tested: the session outlives both, with all that was queued or in flight. (kill -9 of
mosquitto may lose the last second of what it acknowledged, by its own guarantee, and is tested
with the local services.)
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.faults.world import World, until

SESSION_EXPIRY_S = 86_400


async def restart_broker(world: World) -> None:
    """SIGTERM, some time without a broker, and a start from what it saved."""
    await world.until_ingesting()
    await world.until_connected()
    closed = world.broker_link.closed
    world.broker_link.refuse()
    assert await world.services.stop_broker(), "it did not run"
    await world.pause(1.0)
    assert not await world.services.broker_listens()
    await world.services.start()
    await world.broker_link.listen()
    assert world.broker_link.closed > closed, "the ingester's connection outlived the broker"
    world.effects["restart_broker"] += 1


async def take_over_client_id(world: World) -> None:
    """Another client connects with the ingester's id, takes messages and acknowledges none.

    The ingester must take its session back, and gets those messages again.
    """
    await world.until_ingesting()
    await world.until_connected()
    link = world.broker_link
    closed, thief = link.closed, _Thief(world.rng.choice(world.client_ids))

    async def has_lost() -> bool:
        return link.closed > closed

    thief.connect(world.services.addresses.mqtt_url)
    try:
        await until(thief.has_connected, "the broker lets no other client in")
        assert thief.session_present, "the ingester had no session to take"
        await until(thief.was_thrown_out, "the ingester does not take its session back", 30)
    finally:
        thief.close()
    await until(has_lost, "the ingester kept its connection")
    world.effects["take_over_client_id"] += 1
    world.effects["messages that a thief was sent"] += thief.messages


class _Thief:
    """A client that gets messages and keeps silent about it."""

    def __init__(self, client_id: str) -> None:
        self.session_present: bool | None = None
        self.thrown_out = False
        self.messages = 0
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def connect(self, mqtt_url: str) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        url = urlsplit(mqtt_url)
        self._client.connect(
            str(url.hostname), url.port or 1883, clean_start=False, properties=properties
        )
        self._client.loop_start()

    async def has_connected(self) -> bool:
        return self.session_present is not None

    async def was_thrown_out(self) -> bool:
        return self.thrown_out

    def close(self) -> None:
        self._client.loop_stop()

    def _on_connect(self, _c: Any, _d: Any, flags: Any, _code: Any, _p: Any) -> None:
        self.session_present = flags.session_present

    def _on_disconnect(self, _c: Any, _d: Any, _flags: Any, code: Any, _p: Any) -> None:
        self.thrown_out = True

    def _on_message(self, _c: Any, _d: Any, _message: Any) -> None:
        self.messages += 1


async def left_at_broker(mqtt_url: str, client_id: str) -> int:
    """Messages that a session still holds, seen by connecting as it; they are not acknowledged."""
    thief = _Thief(client_id)
    thief.connect(mqtt_url)
    await until(thief.has_connected, "the broker lets nobody in")
    assert thief.session_present, "the session is gone"
    await asyncio.sleep(0.5)
    thief.close()
    return thief.messages
