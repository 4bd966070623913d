"""The login that Grafana reads with can read the views and do nothing else."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from dashboards.login import GROUP, Login, login_name, new_login
from shudao.errors import ShudaoError
from tests.dashboards.conftest import Rows, drop

ROLE = importlib.import_module("shudao.database.migrations.versions.0002_dashboards").ROLE

FORBIDDEN = [
    "INSERT INTO public.goal VALUES ('x', 'N1', 'x', 'x', NULL, NULL, '1')",
    "INSERT INTO grafana.goal (goal) VALUES ('x')",
    "UPDATE grafana.quarantine SET reason = 'x'",
    "DELETE FROM grafana.ingest_minute",
    "DELETE FROM public.goal_progress",
    "TRUNCATE public.goal",
    "CREATE TABLE grafana.x (x integer)",
    "DROP VIEW grafana.goal",
    "SELECT payload FROM public.quarantine",
    "SELECT * FROM public.device",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY grafana.goal TO PROGRAM 'cat'",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_reader_may_not(reader: Rows, statement: str) -> None:
    """Not even after it has switched its transactions to read-write."""
    reader.execute("SET default_transaction_read_only = off")
    reader.commit()
    with pytest.raises((errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)):
        reader.execute(statement)


def test_reader_starts_read_only_and_with_a_time_limit(reader: Rows) -> None:
    """Settings of the group are not inherited, so the login has its own."""
    with pytest.raises(errors.ReadOnlySqlTransaction):
        reader.execute("CREATE TEMP TABLE x (x integer)")
    reader.rollback()
    assert reader.execute("SHOW statement_timeout").fetchone() == ("10s",)


def test_making_a_login_again_changes_its_password(shown_url: str) -> None:
    """The old password is refused, the new one works."""
    name = "shudao_grafana_test_again"
    try:
        with new_login(shown_url, name) as first:
            pass
        with new_login(shown_url, name) as second:
            pass
        psycopg.connect(shown_url, user=name, password=second.password).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(shown_url, user=name, password=first.password)
    finally:
        drop(shown_url, name)


def test_login_that_could_not_be_handed_over_does_not_count(shown_url: str, login: Login) -> None:
    """Grafana refused the new password: the old one goes on working."""
    with pytest.raises(KeyError), new_login(shown_url, login.user):
        raise KeyError("refused")
    psycopg.connect(shown_url, user=login.user, password=login.password).close()


def test_login_names_differ_by_database_and_grafana() -> None:
    """Users belong to the cluster: one push must not change another's password."""
    urls = ["postgresql://u@h/a", "postgresql://u@h/b"]
    names = {login_name(u, g) for u in urls for g in ("http://one", "http://two")}
    assert len(names) == 4
    assert all(name.startswith(GROUP) for name in names)


@pytest.fixture
def plain_user(shown_url: str) -> Iterator[str]:
    """A user without the right to make roles."""
    name = "shudao_test_plain"
    with psycopg.connect(shown_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {name}")
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'plain'")
    yield name
    drop(shown_url, name)


def test_user_who_may_not_make_roles_is_told_what_to_do(shown_url: str, plain_user: str) -> None:
    """One line that names the options to give."""
    parts = psycopg.conninfo.conninfo_to_dict(shown_url)
    url = f"postgresql://{plain_user}:plain@{parts['host']}:{parts['port']}/{parts['dbname']}"
    refused = pytest.raises(ShudaoError, match="--database-user and --database-password")
    with refused, new_login(url, "shudao_grafana_never"):
        pass


def test_two_databases_may_make_the_group_at_once(
    services: tuple[str, str], shown_url: str
) -> None:
    """The second waits for the first, finds the group made, and goes on."""
    statement = ROLE.replace(GROUP, f"{GROUP}_race")
    failures: list[BaseException] = []

    def second() -> None:
        try:
            with psycopg.connect(services[0]) as connection:
                connection.execute(statement)
        except psycopg.Error as error:
            failures.append(error)

    try:
        with psycopg.connect(shown_url) as first:
            first.execute(statement)
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(0.5)
            assert thread.is_alive(), "it should wait for the first to commit"
        thread.join(10)
        assert not thread.is_alive()
        assert failures == []
    finally:
        drop(shown_url, f"{GROUP}_race")


def test_migration_goes_on_where_roles_may_not_be_made(shown_url: str, plain_user: str) -> None:
    """A database of a hosting service gets its views all the same."""
    with psycopg.connect(shown_url) as connection:
        connection.execute(f"SET ROLE {plain_user}")
        connection.execute(ROLE.replace(GROUP, f"{GROUP}_forbidden"))
        found = connection.execute(
            "SELECT count(*) FROM pg_roles WHERE rolname = %s", [f"{GROUP}_forbidden"]
        ).fetchone()
    assert found == (0,)
