"""Settings: from the environment (``SHUDAO_…``), else from a running ``shudao local``.

The services that ``shudao local up`` starts write their addresses to ``.shudao/local.json``;
an explicit ``SHUDAO_DATABASE_URL`` or ``SHUDAO_MQTT_URL`` always wins.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shudao.errors import ShudaoError
from shudao.vocabulary import CARRIER_IDS

LOCAL_FILE = "local.json"


class Settings(BaseSettings):
    """What can be set, each by an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_prefix="SHUDAO_", extra="ignore")

    home: Path = Field(Path(".shudao"), description="where the private services keep their data")
    database_url: str = Field("", description="postgresql://user:password@host:port/database")
    mqtt_url: str = Field("", description="mqtt://[user:password@]host:port, mqtts:// for TLS")
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=0, le=65_535)
    goals_file: Path | None = Field(None, description="another goals file than the bundled one")
    vintage: str = Field("2018-10-31", description="registry vintage that places count in")
    batch_messages: int = Field(20_000, ge=1, description="a batch closes at this many messages …")
    batch_ms: int = Field(200, ge=1, description="… or after this many milliseconds")
    receive_maximum: int = Field(
        60_000, ge=1, le=65_535, description="unacknowledged messages in flight"
    )
    max_ahead_s: int = Field(300, ge=0, description="a sample further in the future is refused")
    max_age_days: int = Field(90, ge=1, description="an older sample is refused")
    auto_register: str = Field(
        "", description="carriers whose unknown devices are registered on first sight: telecom,…"
    )
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        9464, ge=0, le=65_535, description="/metrics, /healthz and /readyz of the ingester; 0: none"
    )

    @field_validator("auto_register")
    @classmethod
    def _carriers(cls, value: str) -> str:
        wrong = {c for c in _names(value) if c not in CARRIER_IDS}
        if wrong:
            raise ValueError(f"no such carrier: {', '.join(sorted(wrong))}")
        return value

    @property
    def auto_register_ids(self) -> frozenset[int]:
        """Ids of the carriers in ``auto_register``."""
        return frozenset(CARRIER_IDS[c] for c in _names(self.auto_register))


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


@cache
def get_settings() -> Settings:
    """The settings of this process, read once. Raises `ShudaoError` naming what is wrong."""
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"SHUDAO_{first['loc'][0]}".upper()
        raise ShudaoError(
            f"{name} = {first['input']!r}: {first['msg']}", f"correct {name}"
        ) from error


def _local(key: str, home: Path) -> str:
    path = home / LOCAL_FILE
    if not path.exists():
        return ""
    return str(json.loads(path.read_text()).get(key, ""))


def database_url(settings: Settings | None = None) -> str:
    """The database to use. Raises `ShudaoError` when none is set and none runs locally."""
    settings = settings or get_settings()
    url = settings.database_url or _local("database_url", settings.home)
    if not url:
        raise ShudaoError(
            "no database is set and none runs here",
            "start one with `shudao local up`, or set SHUDAO_DATABASE_URL",
        )
    return url


def mqtt_url(settings: Settings | None = None) -> str:
    """The broker to use. Raises `ShudaoError` when none is set and none runs locally."""
    settings = settings or get_settings()
    url = settings.mqtt_url or _local("mqtt_url", settings.home)
    if not url:
        raise ShudaoError(
            "no MQTT broker is set and none runs here",
            "start one with `shudao local up`, or set SHUDAO_MQTT_URL",
        )
    return url
