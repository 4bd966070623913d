"""Connections to the MQTT broker, as gateways of a fleet use them."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

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


def where(url: str) -> str:
    """Host and port, for messages to the user."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (8883 if parts.scheme == 'mqtts' else 1883)}"


def gateway(url: str, identifier: str, window: int) -> Gateway:
    """A client with at most ``window`` unacknowledged messages; mqtts:// is TLS.

    Raises `ShudaoError` when the URL is no MQTT URL.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "mqtts"
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ShudaoError(
            f"{parts.scheme or 'nothing'}:// is no MQTT address",
            "set SHUDAO_MQTT_URL to mqtt://host:port, or mqtts:// for TLS",
        )
    client = Gateway(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        max_inflight_messages=window,
        tls_context=ssl.create_default_context() if tls else None,
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
            f"the MQTT broker at {where(url)} cannot be reached ({error})",
            "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
        ) from error
