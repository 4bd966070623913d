"""Which source: what was asked for, and what the broker speaks."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import structlog
from aiomqtt import ProtocolVersion

from ingest.sources import Source, SourceOptions
from ingest.sources.aiomqtt import AiomqttSource
from ingest.sources.failures import (
    BusyError,
    LostError,
    OldBrokerError,
    RefusedError,
    UnansweredError,
    unreachable,
)
from ingest.sources.mqtt5 import Mqtt5Source
from ingest.sources.mqtt5_connection import open_connection
from shudao.broker_address import BrokerAddress, broker_address

log = structlog.get_logger(__name__)

SourceKind = Literal["auto", "mqtt5", "aiomqtt"]


MakeSource = Callable[[SourceOptions], Source]


async def choose_source(kind: SourceKind, options: SourceOptions) -> MakeSource:
    """What makes sources; "auto" takes the fast one where the broker speaks MQTT 5.

    ``options`` say where the broker is and who asks. Raises `ShudaoError` when it has to be asked
    and cannot be reached.
    """
    if kind == "mqtt5":
        return Mqtt5Source
    address = broker_address(options.url)
    try:
        is_mqtt5 = await speaks_mqtt5(address, options)
    except LostError as error:
        raise unreachable(address, error) from error
    if kind == "auto":
        kind = "mqtt5" if is_mqtt5 else "aiomqtt"
        log.info("source chosen", source=kind, broker_speaks="5" if is_mqtt5 else "3.1.1")
    if kind == "mqtt5":
        return Mqtt5Source
    version = ProtocolVersion.V5 if is_mqtt5 else ProtocolVersion.V311
    return functools.partial(AiomqttSource, version=version)


async def speaks_mqtt5(address: BrokerAddress, options: SourceOptions) -> bool:
    """Ask with a throw-away client. Raises `LostError`.

    A broker of MQTT 3.1.1 refuses in 3.1.1's words, or closes the connection, or says nothing. One
    that refuses us in the words of MQTT 5 (a password, say) speaks it.
    """
    probe = replace(options, client_id=f"shudao-{uuid.uuid4().hex[:16]}")
    connection = await open_connection(address, probe, on_drop=lambda count: None)
    try:
        await connection.start(clean=True)
    except (OldBrokerError, UnansweredError):
        return False
    except (RefusedError, BusyError):
        return True
    finally:
        await connection.close()
    return True
