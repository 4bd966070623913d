"""``shudao db``: the schema."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Create, upgrade and inspect the database's schema.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the schema to the newest revision; safe to run again, and by two at once."""
    from shudao.database.migrate import migrate as run
    from shudao.database.migrate import schema_status

    before = schema_status()
    after = run()
    if as_json:
        print(json.dumps({"before": before.current, "after": after.current}))
    elif before.is_current:
        print(f"schema {after.current}: nothing to do")
    else:
        print(f"schema {before.current or 'empty'} → {after.current}")


@app.command()
def status(as_json: Json = False) -> None:
    """Tell where the schema is; exits with 1 when a migration is pending."""
    from shudao.database.migrate import schema_status

    found = schema_status()
    if as_json:
        print(json.dumps({"current": found.current, "newest": found.newest}))
    elif found.is_current:
        print(f"schema {found.current}: current")
    else:
        print(f"schema {found.current or 'empty'}, newest {found.newest}: run `shudao db migrate`")
    raise typer.Exit(0 if found.is_current else 1)
