"""Connections to the MQTT broker, as gateways of a fleet use them."""

from __future__ import annotations

from functools import cache
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError


class Gateway(aiomqtt.Client):
    """An MQTT 5 client that also sees when the broker refuses a message.

    aiomqtt takes every PUBACK for success, but the reason in it may be "not authorized" or
    "quota exceeded": such a message is lost, and must not count as acknowledged.
    """

    refusal: str = ""

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any
    ) -> None:
        if reason_code.is_failure:
            self.refusal = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)


@cache
def content_type(name: str) -> Properties | None:
    """MQTT 5 properties that name a content type; None for none."""
    if not name:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = name
    return properties


def gateway(url: str, identifier: str, window: int) -> Gateway:
    """A client with at most ``window`` unacknowledged messages; mqtts:// is TLS.

    Raises `ShudaoError` when the URL is no MQTT URL.
    """
    address = broker_address(url)
    client = Gateway(
        address.host,
        address.port,
        username=address.user,
        password=address.password,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        max_inflight_messages=window,
        tls_context=address.tls,
    )
    client.pending_calls_threshold = window
    return client


async def check_broker(url: str, identifier: str) -> None:
    """Connect once. Raises `ShudaoError` when the broker cannot be reached or refuses us."""
    try:
        async with gateway(url, identifier, window=1):
            return
    except aiomqtt.MqttError as error:
        raise ShudaoError(
            f"the MQTT broker at {broker_address(url)} cannot be reached ({error})",
            "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
        ) from error
