"""The schema: made once, whoever asks, however often, and all or nothing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest

from shudao.database.migrate import migrate, schema_status
from shudao.errors import ShudaoError
from shudao.streams import STREAMS
from shudao.vocabulary import CARRIER_IDS, CARRIER_NAMES, TECHNOLOGY_IDS


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def test_an_empty_database_is_brought_to_the_newest_schema(bare_database_url: str) -> None:
    """From nothing; the second time there is nothing to do."""
    assert schema_status(bare_database_url).current is None
    assert migrate(bare_database_url).is_current
    before = rows(bare_database_url, "SELECT relname, oid FROM pg_class ORDER BY oid")
    assert migrate(bare_database_url).is_current
    assert rows(bare_database_url, "SELECT relname, oid FROM pg_class ORDER BY oid") == before


def test_two_at_once_make_one_schema(bare_database_url: str) -> None:
    """Separate processes, started together: both succeed."""
    code = f"from shudao.database.migrate import migrate; migrate({bare_database_url!r})"
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(
            lambda _: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True),
            range(3),
        )
        assert [r.stderr for r in runs if r.returncode] == []
    assert schema_status(bare_database_url).is_current
    assert rows(bare_database_url, "SELECT count(*) FROM carrier") == [(4,)]


def test_a_failed_migration_leaves_nothing(bare_database_url: str) -> None:
    """A table in the way: one clear line, and no half of a schema."""
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE quarantine (mine integer)")
    with pytest.raises(ShudaoError, match=r'relation "quarantine" already exists.*nothing was'):
        migrate(bare_database_url)
    tables = "SELECT relname FROM pg_class WHERE relname IN ('place', 'carrier', 'radio_sample')"
    assert rows(bare_database_url, tables) == []
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE quarantine")
    assert migrate(bare_database_url).is_current


def test_a_newer_schema_is_left_alone(empty_database_url: str) -> None:
    """An old program does not touch what a newer one made."""
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ShudaoError, match=r"\(9999\) is newer than this program.*install"):
        migrate(empty_database_url)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("/shudao_bare", "/nowhere"), "has no such database → create it"),
        (("shudao:", "nobody:"), "refuses the user or password → correct SHUDAO_DATABASE_URL"),
        ((":PORT", ":1"), "cannot be reached"),
        (("PORT", "99999"), "cannot be reached"),
    ],
)
def test_an_unreachable_database_is_one_line(
    bare_database_url: str, change: tuple[str, str], says: str
) -> None:
    """What is wrong and what to do, without the password."""
    port = str(urlsplit(bare_database_url).port)
    wrong = bare_database_url.replace(change[0].replace("PORT", port), change[1])
    assert wrong != bare_database_url
    with pytest.raises(ShudaoError) as failure:
        migrate(wrong)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)
    password = bare_database_url.split("@")[0].rsplit(":", 1)[1]
    assert password not in str(failure.value)


def test_a_missing_extension_is_named(bare_database_url: str) -> None:
    """A PostgreSQL whose TimescaleDB cannot be created, as where it is not installed."""
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        # The one way to be without it on a server that has it: a user who may not create it.
        connection.execute("DROP ROLE IF EXISTS shudao_poor")
        connection.execute("CREATE ROLE shudao_poor LOGIN PASSWORD 'poor'")
        connection.execute(
            "REVOKE CREATE ON DATABASE " + bare_database_url.rsplit("/", 1)[1] + " FROM PUBLIC"
        )  # type: ignore[arg-type]
        connection.execute("GRANT CREATE ON SCHEMA public TO shudao_poor")
    address = bare_database_url.split("@")[1]
    try:
        with pytest.raises(ShudaoError, match=r"TimescaleDB.*run deploy/setup\.sh"):
            migrate(f"postgresql://shudao_poor:poor@{address}")
    finally:
        with psycopg.connect(bare_database_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY shudao_poor")
            connection.execute("DROP ROLE shudao_poor")


def test_the_database_and_the_program_share_their_vocabularies(empty_database_url: str) -> None:
    """Numbers and names of carriers and technologies, and the columns of each stream."""
    carriers = rows(empty_database_url, "SELECT code, carrier_id, name_zh, name_en FROM carrier")
    assert {(c, i) for c, i, _, _ in carriers} == set(CARRIER_IDS.items())
    assert {(z, e) for _, _, z, e in carriers} == set(CARRIER_NAMES.values())
    found = rows(empty_database_url, "SELECT code, technology_id FROM technology")
    assert set(found) == set(TECHNOLOGY_IDS.items())
    for stream in STREAMS.values():
        columns = rows(
            empty_database_url,
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND attrelid ="
            f" '{stream.table}'::regclass ORDER BY attnum",
        )
        assert [c for (c,) in columns][5:] == [f.name for f in stream.fields]
