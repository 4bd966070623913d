"""``shudao quarantine``: what an operator does with samples that were refused."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from shudao.cli.quarantine_options import (
    LARGEST_ID,
    All,
    Before,
    Carrier,
    Device,
    Ids,
    ReasonNames,
    Since,
    StreamText,
    require_a_choice,
    selected,
)
from shudao.errors import ShudaoError

if TYPE_CHECKING:
    import asyncpg

    from ingest.quarantine.replay import Progress, Replayed
    from ingest.quarantine.rows import Count, Row
    from ingest.quarantine.selection import Selection

app = typer.Typer(
    no_args_is_help=True,
    help="Samples that were refused: look at them, replay them after a fix, let go of them.",
)

T = TypeVar("T")
INTERRUPTED = 128 + signal.SIGINT

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_rows(
    carrier: Carrier = None,
    reason: ReasonNames = None,
    device: Device = None,
    stream: StreamText = None,
    since: Since = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    counts: Annotated[
        bool, typer.Option("--counts", help="Only the counts by carrier and reason.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what was refused, newest first, below the counts by carrier and reason.

    Each refused sample is kept once; "times" says how often it came. Times are UTC.

    Example: shudao quarantine list --carrier telecom --reason out_of_range --since 2h
    """
    from shudao.cli import quarantine_view as view

    selection = selected(None, carrier, reason, device, stream, since, before)
    shown = 0 if counts else limit
    rows, by_reason = _run(lambda c: _list(c, selection, shown))
    if as_json:
        print(view.list_as_json(rows, by_reason, with_rows=not counts))
    elif not by_reason:
        print("quarantine is empty" if selection.is_everything else "nothing in quarantine matches")
    else:
        view.show_list(rows, by_reason, with_rows=not counts)


async def _list(
    connection: asyncpg.Connection[Any], selection: Selection, limit: int
) -> tuple[list[Row], list[Count]]:
    from ingest.quarantine import rows

    async with connection.transaction(isolation="repeatable_read", readonly=True):
        by_reason = await rows.counts(connection, selection)
        return await rows.newest(connection, selection, limit), by_reason


@app.command()
def show(
    quarantine_id: Annotated[
        int, typer.Argument(help="A number of `list`.", metavar="ID", min=1, max=LARGEST_ID)
    ],
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the payload's bytes to standard output.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one: where it came from, what is wrong, what to do, and the payload.

    A payload that is JSON is indented, other text is shown as it is, other bytes as a hex dump.

    Example: shudao quarantine show 17

    shudao quarantine show 17 --raw > payload.bin
    """
    from ingest.quarantine import rows
    from shudao.cli import quarantine_view as view

    found = _run(lambda c: rows.find(c, quarantine_id))
    if found is None:
        raise ShudaoError(
            f"quarantine holds no {quarantine_id}",
            "it may have been replayed or purged; `shudao quarantine list` shows what is there",
        )
    if raw:
        sys.stdout.buffer.write(found[1])
        sys.stdout.buffer.flush()
    elif as_json:
        print(view.one_as_json(*found))
    else:
        view.show_one(*found)


@app.command()
def replay(
    ids: Ids = None,
    carrier: Carrier = None,
    reason: ReasonNames = None,
    device: Device = None,
    stream: StreamText = None,
    since: Since = None,
    before: Before = None,
    everything: All = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decode and check only; write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Replay what was refused, after a fix: a device registered, a metric added, a limit raised.

    What is valid now is stored, exactly once, and leaves quarantine in the
    same transaction. What is refused again stays, with the reason that holds
    now; the exit code is 0 all the same. Replaying again, also after it was
    stopped or killed, does no harm.

    Lines of imported files are left alone (import the file again), and so are
    payloads of which only the beginning was kept.

    Example: shudao quarantine replay --reason unknown_device --carrier telecom

    shudao quarantine replay 17 18 --dry-run
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    from shudao.cli import quarantine_view as view

    selection = selected(ids, carrier, reason, device, stream, since, before)
    require_a_choice(selection, everything, "replay")
    console = Console(stderr=True)
    with Bar(console=console, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=None)
        replayed = _replay(
            selection, dry_run, lambda done, of: bar.update(task, completed=done, total=of)
        )
    if as_json:
        print(view.replayed_as_json(replayed, dry_run))
    else:
        view.show_replayed(replayed, dry_run)
    if not replayed.complete:
        raise typer.Exit(INTERRUPTED)


def _replay(selection: Selection, dry_run: bool, progress: Progress) -> Replayed:
    from shudao.database.migrate import require_schema

    require_schema()
    return asyncio.run(_until_stopped(selection, dry_run, progress))


async def _until_stopped(selection: Selection, dry_run: bool, progress: Progress) -> Replayed:
    from ingest.quarantine.replay import Replayer
    from shudao.settings import database_url
    from shudao.stopping import on_stop_signal

    replayer = Replayer(database_url(), dry_run=dry_run, progress=progress)
    task = asyncio.ensure_future(replayer.run(selection))
    with on_stop_signal(replayer.stop, task.cancel, after_s=10):
        try:
            return await task
        except asyncio.CancelledError:
            typer.echo("stopped; what was not replayed yet stays. Run it again to go on.", err=True)
            raise typer.Exit(INTERRUPTED) from None


@app.command()
def purge(
    ids: Ids = None,
    carrier: Carrier = None,
    reason: ReasonNames = None,
    device: Device = None,
    stream: StreamText = None,
    since: Since = None,
    before: Before = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what was refused, for ever: what is too old to matter, or will never be valid.

    Says how many and asks first.

    Example: shudao quarantine purge --before 30d

    shudao quarantine purge --reason malformed --carrier mobile --yes
    """
    import json

    selection = selected(ids, carrier, reason, device, stream, since, before)
    require_a_choice(selection, everything, "purge")
    if as_json and not yes:
        raise ShudaoError("--json cannot ask", "add --yes")
    purged = _run(lambda c: _purge(c, selection, yes))
    if as_json:
        print(json.dumps({"purged": purged}))
    elif purged is not None:
        print(f"purged {purged:,}" if purged else "nothing in quarantine matches")
    else:
        print("nothing was purged")
        raise typer.Exit(1)


async def _purge(
    connection: asyncpg.Connection[Any], selection: Selection, yes: bool
) -> int | None:
    """How many were deleted; None: the user said no."""
    from ingest.quarantine import rows

    last = await rows.last_id(connection)
    found = await rows.count_up_to(connection, selection, last)
    if found and not yes and not _confirmed(found):
        return None
    return await rows.purge_up_to(connection, selection, last)


def _confirmed(found: int) -> bool:
    what = "1 refused sample" if found == 1 else f"{found:,} refused samples"
    # Standard output is for results, and typer's question would leave a trace there.
    typer.echo(f"Delete {what} for ever? [y/N]: ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _run(work: Callable[[asyncpg.Connection[Any]], Awaitable[T]]) -> T:
    from shudao.database.connect import connect
    from shudao.database.migrate import require_schema

    require_schema()

    async def run() -> T:
        connection = await connect()
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
