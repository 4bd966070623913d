"""Create and upgrade the schema with Alembic: forward only, safe twice, safe at once.

Everything that is pending runs in one transaction under an advisory lock: another process that
migrates at the same time waits and then finds nothing to do; a failure leaves nothing half done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from shudao.database.connect import explain_failure
from shudao.errors import ShudaoError
from shudao.settings import database_url

SCRIPTS = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where the schema is: revision in the database (None: empty), and the newest we know."""

    current: str | None
    newest: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is pending."""
        return self.current == self.newest


def _engine(url: str) -> Engine:
    parts = urlsplit(url)
    try:
        return create_engine(urlunsplit(parts._replace(scheme="postgresql+psycopg")))
    except (ArgumentError, ValueError) as error:
        raise explain_failure(url, error) from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config


def schema_status(url: str | None = None) -> SchemaStatus:
    """Compare the database's revision with ours. Raises `ShudaoError` when it is away."""
    url = url or database_url()
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise explain_failure(url, _first_line(error)) from error
    finally:
        engine.dispose()
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "the package ships its migrations"
    return SchemaStatus(current, newest)


def require_schema(url: str | None = None) -> None:
    """Raises `ShudaoError` unless the database's schema is the one that this program knows."""
    found = schema_status(url)
    if not found.is_current:
        raise ShudaoError(
            f"the database's schema is {found.current or 'not there'}, this program needs"
            f" {found.newest}",
            "run `shudao db migrate`",
        )


def migrate(url: str | None = None) -> SchemaStatus:
    """Bring the schema to the newest revision.

    Raises `ShudaoError` when the database is away, has no TimescaleDB, or is newer than this
    program.
    """
    url = url or database_url()
    before = schema_status(url)
    known = {s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()}
    if before.current is not None and before.current not in known:
        raise ShudaoError(
            f"the database's schema ({before.current}) is newer than this program knows",
            "install the newer Shudao",
        )
    config = _config()
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        if "timescaledb" in str(error.orig):
            raise ShudaoError(
                "this PostgreSQL has no TimescaleDB, or it is not preloaded"
                f" ({_first_line(error)})",
                "run deploy/setup.sh, or install it and set shared_preload_libraries ="
                " 'timescaledb'",
            ) from error
        raise ShudaoError(
            f"the schema could not be upgraded: {_first_line(error)}",
            "nothing was changed; mend that and run `shudao db migrate` again",
        ) from error
    finally:
        engine.dispose()
    return schema_status(url)


def _first_line(error: DBAPIError) -> ShudaoError:
    return ShudaoError(str(error.orig).strip().splitlines()[0])
