"""The ``shudao`` command: one module per subcommand; what is heavy is imported when it runs."""

from __future__ import annotations

import signal
import sys

import structlog
import typer

from shudao.cli import bench, dashboards, db, local, quarantine, registry, simulate
from shudao.cli.api import api
from shudao.cli.demo import demo
from shudao.cli.evaluate import evaluate
from shudao.cli.goals import goals
from shudao.cli.import_ import import_file
from shudao.cli.ingest import ingest
from shudao.cli.load import load
from shudao.errors import ShudaoError

app = typer.Typer(
    name="shudao",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="蜀道: trusted telemetry for NB-IoT and broadband coverage, down to a village.",
)
app.command()(demo)
app.command()(ingest)
app.add_typer(simulate.app, name="simulate")
app.command()(load)
app.command("import")(import_file)
app.add_typer(quarantine.app, name="quarantine")
app.command()(evaluate)
app.command()(goals)
app.command()(api)
app.add_typer(registry.app, name="registry")
app.add_typer(dashboards.app, name="dashboards")
app.add_typer(local.app, name="local")
app.add_typer(db.app, name="db")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line; a `ShudaoError` becomes one line and exit code 1."""
    # Standard output is for results: what --json prints must stay JSON.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
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
