"""``shudao ingest``: from the MQTT broker to TimescaleDB."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def ingest(
    client_id: Annotated[
        str, typer.Option(help="Names the persistent session at the broker; one per ingester.")
    ] = "shudao-ingest",
) -> None:
    """Ingest samples from the broker: nothing lost, nothing twice.

    Messages are acknowledged after their samples are committed. SIGTERM or Ctrl-C finishes and
    acknowledges the batch in hand. Settings: SHUDAO_MQTT_URL, SHUDAO_DATABASE_URL,
    SHUDAO_BATCH_MESSAGES, SHUDAO_BATCH_MS, SHUDAO_RECEIVE_MAXIMUM, SHUDAO_MAX_AHEAD_S,
    SHUDAO_MAX_AGE_DAYS.

    Example: shudao ingest
    """
    import uvloop

    from shudao.database.migrate import require_schema

    require_schema()
    uvloop.run(_ingest(client_id))


async def _ingest(client_id: str) -> None:
    import structlog

    from ingest.ingester import Ingester
    from ingest.pipeline import run
    from ingest.sources.aiomqtt import AiomqttSource
    from shudao.settings import database_url, get_settings, mqtt_url
    from shudao.stopping import on_stop_signal

    settings = get_settings()
    source = AiomqttSource(
        mqtt_url(),
        client_id=client_id,
        batch_messages=settings.batch_messages,
        batch_ms=settings.batch_ms,
        receive_maximum=settings.receive_maximum,
    )
    task = asyncio.ensure_future(run(source, Ingester(database_url(), origin="mqtt")))
    with on_stop_signal(source.stop, task.cancel, after_s=10):
        try:
            total = await task
        except asyncio.CancelledError:
            structlog.get_logger().warning("stopped; the batch in hand was not acknowledged")
            raise typer.Exit(1) from None
    structlog.get_logger().info(
        "stopped",
        received=total.received,
        stored=total.stored,
        duplicates=total.duplicates,
        quarantined=total.quarantined.total(),
    )
