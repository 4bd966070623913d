"""The address of an MQTT broker, read from a URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shudao.errors import ShudaoError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens and who connects; ``tls`` is a context for mqtts://."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def broker_address(url: str) -> BrokerAddress:
    """Read mqtt://[user:password@]host[:port], or mqtts:// for TLS. Raises `ShudaoError`."""
    parts = urlsplit(url)
    try:
        port = _PORTS[parts.scheme]
        port = parts.port or port
    except (ValueError, KeyError):
        port = 0
    if not port or not parts.hostname:
        shown = url.rpartition("@")[2]  # without a password
        raise ShudaoError(
            f"{shown!r} is no MQTT address",
            "set SHUDAO_MQTT_URL to mqtt://host:port, or mqtts:// for TLS",
        )
    return BrokerAddress(
        parts.hostname,
        port,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        ssl.create_default_context() if parts.scheme == "mqtts" else None,
    )
