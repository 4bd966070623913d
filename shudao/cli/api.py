"""``shudao api``: the HTTP API."""

from __future__ import annotations

import socket
from typing import Annotated

import typer


def api(
    host: Annotated[str, typer.Option(help="Address to listen on; SHUDAO_API_HOST.")] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen on; SHUDAO_API_PORT, else 8000."),
    ] = None,
) -> None:
    """Serve goals, progress and villages over HTTP; documentation is at /docs.

    SIGTERM or Ctrl-C finishes the requests in hand.

    Example: shudao api --port 8080
    """
    import uvloop

    from shudao.serving import listen
    from shudao.settings import get_settings

    settings = get_settings()
    listening = listen(host or settings.api_host, settings.api_port if port is None else port)
    with listening:
        uvloop.run(_serve(listening))


async def _serve(listening: socket.socket) -> None:
    import structlog
    import uvicorn

    from api.app import create_app
    from shudao.database import connect
    from shudao.serving import Server
    from shudao.stopping import on_stop_signal

    await (await connect()).close()  # fail at once, with a clear line, if it is not there
    config = uvicorn.Config(
        create_app(), access_log=False, log_level="warning", timeout_graceful_shutdown=10
    )
    server = Server(config)
    host, port = listening.getsockname()[:2]
    structlog.get_logger().info("listening", url=f"http://{host}:{port}", docs="/docs")
    with on_stop_signal(
        lambda: setattr(server, "should_exit", True),
        lambda: setattr(server, "force_exit", True),
        after_s=12,
    ):
        await server.serve(sockets=[listening])
    structlog.get_logger().info("stopped")
