"""Private services for one checkout: a TimescaleDB and an MQTT broker on loopback.

``up`` starts them, ``down`` stops them, ``status`` looks. Their data, logs and addresses live
below one folder, the *home* (``.shudao/``); `shudao.settings` reads the addresses from there.
The demo and the tests use exactly this.
"""

from __future__ import annotations

from shudao.local.stack import LocalServices, ServiceStatus, down, status, up

__all__ = ["LocalServices", "ServiceStatus", "down", "status", "up"]
