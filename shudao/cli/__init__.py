"""The ``shudao`` command: one module per subcommand; what is heavy is imported when it runs."""

from __future__ import annotations

import signal
import sys

import typer

from shudao.cli.db import app as db_app
from shudao.errors import ShudaoError

app = typer.Typer(
    name="shudao",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="蜀道: trusted telemetry for NB-IoT and broadband coverage, down to a village.",
)
app.add_typer(db_app, name="db")


def main() -> None:
    """Run the command line; a `ShudaoError` becomes one line and exit code 1."""
    try:
        app()
    except ShudaoError as error:
        sys.stdout.flush()
        print(f"shudao: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # `shudao … | head`: the reader has seen enough.
        sys.stderr.close()
        sys.exit(0)
