"""Serve an ASGI application on a socket of ours, and leave signals to whoever runs it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from shudao.errors import ShudaoError


class Server(uvicorn.Server):
    """Leaves signals to `shudao.stopping`, so that a stop exits with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `ShudaoError` when that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ShudaoError(
                f"port {port} on {host} is in use",
                f"stop what listens there, or choose another: --port {port + 1}",
            ) from error
        raise ShudaoError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            "choose another --host or --port",
        ) from error
    return listening
