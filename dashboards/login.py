"""The database login that Grafana uses: it reads the views of schema ``grafana``, nothing else.

The migrations make the group ``shudao_grafana`` and grant it the views. A login is a member of that
group, with a statement timeout and read-only transactions of its own (settings are not inherited).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from shudao.database.connect import explain_failure
from shudao.errors import ShudaoError

GROUP = "shudao_grafana"
STATEMENT_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the database and its password."""

    user: str
    password: str


def login_name(database_url: str, grafana_url: str) -> str:
    """The user that we make for one Grafana and one database (users belong to the cluster)."""
    database = urlsplit(database_url).path.lstrip("/")
    digest = hashlib.sha256(f"{database} {grafana_url}".encode()).hexdigest()
    return f"{GROUP}_{digest[:8]}"


@contextmanager
def new_login(database_url: str, user: str) -> Iterator[Login]:
    """Make ``user``, or give it a new random password if it exists.

    It counts when the block ends without an exception: whoever fails to tell Grafana leaves the
    old password as it was. Raises `ShudaoError` when the database is away, has no group, or does
    not permit it.
    """
    password = secrets.token_urlsafe(24)
    try:
        with psycopg.connect(database_url, connect_timeout=10) as connection:
            _refuse_without_group(connection)
            _write(connection, user, password)
            yield Login(user, password)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ShudaoError(
            f"the database does not permit making a login for Grafana ({_line(error)})",
            f"let its administrator make a user in the group {GROUP}, and give it with"
            " --database-user and --database-password",
        ) from error
    except psycopg.Error as error:
        raise explain_failure(database_url, ShudaoError(_line(error))) from error


def server_version(database_url: str) -> int:
    """The server's version number, such as 150018. Raises `ShudaoError` when it is away."""
    try:
        with psycopg.connect(database_url, connect_timeout=10) as connection:
            return connection.info.server_version
    except psycopg.Error as error:
        raise explain_failure(database_url, ShudaoError(_line(error))) from error


def _line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]


def _exists(connection: psycopg.Connection[tuple[object, ...]], role: str) -> bool:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
    return found.fetchone() is not None


def _refuse_without_group(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    if not _exists(connection, GROUP):
        raise ShudaoError(
            f"the database has no group {GROUP}",
            "run `shudao db migrate` as a user who may create roles, or see dashboards/README.md",
        )


def _write(connection: psycopg.Connection[tuple[object, ...]], user: str, password: str) -> None:
    name, group = sql.Identifier(user), sql.Identifier(GROUP)
    if not _exists(connection, user):
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(name, group))
    # Hashed here, so that the password is in no statement and in no log of the server.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), user.encode(), b"scram-sha-256"
    ).decode()
    for setting in (
        sql.SQL("PASSWORD {}").format(sql.Literal(verifier)),
        sql.SQL("CONNECTION LIMIT 20"),
        sql.SQL("SET statement_timeout = {}").format(sql.Literal(STATEMENT_TIMEOUT)),
        sql.SQL("SET default_transaction_read_only = on"),
    ):
        connection.execute(sql.SQL("ALTER ROLE {} {}").format(name, setting))
