"""``shudao ingest``: from the MQTT broker to TimescaleDB."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline
    from ingest.sources import SourceOptions
    from shudao.settings import Settings


class SourceName(StrEnum):
    """How messages are received."""

    AUTO = "auto"
    MQTT5 = "mqtt5"
    AIOMQTT = "aiomqtt"


def ingest(
    source: Annotated[
        SourceName,
        typer.Option(
            help="mqtt5 is the fast one, for brokers of MQTT 5; aiomqtt takes MQTT 3.1.1 too;"
            " auto asks the broker."
        ),
    ] = SourceName.AUTO,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=16,
            help="Processes that share the subscription. One is enough for most brokers, and"
            " mosquitto 2.0 forgets a shared subscription when it restarts.",
        ),
    ] = 1,
    client_id: Annotated[
        str,
        typer.Option(
            help="Names the persistent session at the broker, and the group of several workers."
        ),
    ] = "shudao-ingest",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535,
            help="/metrics, /healthz and /readyz; worker i of several listens at this port + i - 1;"
            " 0: none. SHUDAO_METRICS_PORT, else 9464.",
        ),
    ] = None,
    worker: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:  # fmt: skip
    """Ingest samples from the broker: nothing lost, nothing twice.

    Messages are acknowledged after their samples are committed. SIGTERM or Ctrl-C finishes and
    acknowledges the batches in hand. Settings: SHUDAO_MQTT_URL, SHUDAO_DATABASE_URL,
    SHUDAO_BATCH_MESSAGES, SHUDAO_BATCH_MS, SHUDAO_RECEIVE_MAXIMUM, SHUDAO_MAX_AHEAD_S,
    SHUDAO_MAX_AGE_DAYS, SHUDAO_AUTO_REGISTER, SHUDAO_METRICS_PORT.

    Examples: shudao ingest · shudao ingest --workers 4 · shudao ingest --source aiomqtt
    """
    import uvloop

    from ingest.sources import SourceOptions
    from shudao.database.migrate import require_schema
    from shudao.settings import get_settings, mqtt_url

    require_schema()
    settings = get_settings()
    options = SourceOptions(
        url=mqtt_url(),
        client_id=client_id,
        batch_messages=settings.batch_messages,
        batch_ms=settings.batch_ms,
        receive_maximum=settings.receive_maximum,
    )
    if workers > 1 and not worker:
        uvloop.run(_supervise(source, options, workers, metrics_port))
    else:
        # A batch makes tens of thousands of objects, none of which is part of a cycle: collecting
        # every 700 of them costs some 5 % of the time.
        gc.set_threshold(200_000)
        uvloop.run(_ingest(source, options, workers, worker, settings, metrics_port))


async def _supervise(
    source: SourceName, options: SourceOptions, workers: int, metrics_port: int | None
) -> None:
    import structlog

    from ingest.retire import retire
    from ingest.sources.choose import choose_source
    from ingest.workers import STOP_PATIENCE_S, Supervisor
    from shudao.settings import database_url
    from shudao.stopping import on_stop_signal

    await retire(await choose_source(source.value, options), options, workers, database_url())
    command = [
        sys.executable, "-m", "shudao", "ingest", "--worker", "{worker}",
        "--source", source.value, "--workers", str(workers), "--client-id", options.client_id,
    ]  # fmt: skip
    if metrics_port is not None:
        command += ["--metrics-port", str(metrics_port)]
    supervisor = Supervisor(command, workers)
    task = asyncio.ensure_future(supervisor.run())
    with on_stop_signal(supervisor.stop, task.cancel, after_s=STOP_PATIENCE_S + 2):
        await task
    structlog.get_logger().info("all workers stopped")


async def _ingest(
    source: SourceName,
    options: SourceOptions,
    workers: int,
    worker: int,
    settings: Settings,
    metrics_port: int | None,
) -> None:
    import structlog

    from ingest.ingester import Ingester
    from ingest.pipeline import Pipeline
    from ingest.retire import retire, worker_options
    from ingest.sources.choose import choose_source
    from ingest.workers import stop_with_supervisor
    from shudao.settings import database_url
    from shudao.stopping import on_stop_signal

    make = await choose_source(source.value, options)
    if workers == 1:
        await retire(make, options, workers, database_url())
    chosen = make(worker_options(options, workers, worker))
    if worker:
        stop_with_supervisor(chosen.stop)
    pipeline = Pipeline.of(chosen, Ingester(database_url(), origin="mqtt"))
    task = asyncio.ensure_future(pipeline.run())
    async with _watched(pipeline, _listen(settings, metrics_port, worker)):
        with on_stop_signal(chosen.stop, task.cancel, after_s=10):
            try:
                total = await task
            except asyncio.CancelledError:
                structlog.get_logger().warning("stopped; what was in hand was not acknowledged")
                raise typer.Exit(1) from None
    structlog.get_logger().info(
        "stopped",
        received=total.received,
        stored=total.stored,
        duplicates=total.duplicates,
        quarantined=total.quarantined.total(),
    )


def _listen(settings: Settings, port: int | None, worker: int) -> socket.socket | None:
    """Where metrics are asked for: raises where the port was asked for and is taken."""
    import structlog

    from shudao.serving import listen

    asked = port is not None or "metrics_port" in settings.model_fields_set
    port = settings.metrics_port if port is None else port
    if not port:
        return None
    try:
        return listen(settings.metrics_host, port + max(worker - 1, 0))
    except ShudaoError as error:
        if asked:
            raise
        structlog.get_logger().warning("no /metrics and /healthz: choose --metrics-port",
                                       error=str(error))  # fmt: skip
        return None


@asynccontextmanager
async def _watched(pipeline: Pipeline, listening: socket.socket | None) -> AsyncIterator[None]:
    """Serve the pipeline's health and metrics meanwhile."""
    if listening is None:
        yield
        return
    import structlog
    import uvicorn

    from ingest.health import create_app
    from shudao.serving import Server

    app = create_app(pipeline.health, pipeline.metrics.registry)
    server = Server(
        uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=1)
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    structlog.get_logger().info("metrics and health", url=f"http://{host}:{port}/metrics")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
