"""A database with progress, samples and quarantine to show, and a login that reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from dashboards.login import Login, new_login
from shudao.database.migrate import migrate
from tests.conftest import with_database

Rows = psycopg.Connection[tuple[object, ...]]

GOALS = """
INSERT INTO vintage (vintage, source) VALUES ('2018-10-31', 'test'), ('2023-06-30', 'test');
INSERT INTO division (vintage, code, level, name, parent) VALUES
    ('2018-10-31', '51', 'province', '四川省', NULL),
    ('2018-10-31', '5101', 'prefecture', '成都市', '51'),
    ('2018-10-31', '5103', 'prefecture', '自贡市', '51'),
    ('2018-10-31', '510104', 'county', '锦江区', '5101');
INSERT INTO goal (goal, clause, title_zh, title_en, target, deadline, criteria) VALUES
    ('fibre', 'N15', '行政村光纤', 'Village fibre', 0.9, '2020-12-31', '1'),
    ('nbiot', 'N12', '窄带物联网', 'NB-IoT', 0.9, '2020-12-31', '1'),
    ('speed', 'N3', '网络提速', 'Speed', NULL, NULL, '1'),
    ('station', 'N16', '益农信息社', 'Stations', 0.9, '2020-12-31', '1');
"""
PROGRESS = """
INSERT INTO goal_progress
SELECT goal, '2018-10-31', division, carrier, day::date, '1', covered, uncovered, unknown,
       covered + uncovered + unknown, day::timestamptz + interval '8 hours'
  FROM (VALUES ('fibre', '51', '2026-11-01', 10, 10, 80),
               ('fibre', '51', '2026-11-02', 80, 5, 15),
               ('fibre', '5101', '2026-11-02', 40, 0, 0),
               ('fibre', '5103', '2026-11-02', 40, 5, 15),
               ('fibre', '5103', '2026-11-01', 60, 0, 0), ('nbiot', '51', '2026-11-02', 50, 45, 5),
               ('speed', '51', '2026-11-02', 3, 2, 5), ('nbiot', '5101', '2026-11-02', 3, 2, 5)
       ) AS p (goal, division, day, covered, uncovered, unknown)
 CROSS JOIN generate_series(0, 4) AS carrier
"""
LEDGER = """
INSERT INTO ingest_minute
SELECT minute, carrier, stream, 'mqtt', 660, 600, 40, 20, 60000, 250
  FROM generate_series(%(now)s - interval '20 minutes', %(now)s, '1 minute') AS minute,
       generate_series(1, 4) AS carrier, (VALUES ('radio'), ('broadband')) AS s (stream)
"""
QUARANTINE = """
INSERT INTO quarantine (digest, received, origin, topic, carrier_id, stream, device, reason,
                        detail, payload)
SELECT decode(md5(n::text), 'hex'), %(now)s - n * interval '1 minute', 'mqtt', 'topic ' || n, 1,
       'radio', 'd', CASE WHEN n < 3 THEN 'out_of_range' ELSE 'bad_json' END, 'detail ' || n, 'x'
  FROM generate_series(0, 4) AS n
"""


@pytest.fixture(scope="session")
def now() -> datetime:
    """The minute before this one, so that nothing in it is still to come."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)


@pytest.fixture(scope="session")
def shown_url(services: tuple[str, str], now: datetime) -> Iterator[str]:
    """A small province: four goals, two prefectures, 20 minutes of samples. Tests roll back."""
    name = f"shudao_shown_{os.getpid()}"
    with psycopg.connect(services[0], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        url = with_database(services[0], name)
        migrate(url)
        _fill(url, now)
        yield url
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fill(url: str, now: datetime) -> None:
    with psycopg.connect(url) as connection:
        for statement in (GOALS, PROGRESS):
            connection.execute(statement)
        for statement in (LEDGER, QUARANTINE):
            connection.execute(statement, {"now": now})


@pytest.fixture
def editor(shown_url: str) -> Iterator[Rows]:
    """A session that may write; what it writes is rolled back."""
    connection = psycopg.connect(shown_url)
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture(scope="session")
def login(shown_url: str) -> Iterator[Login]:
    """A login for Grafana, dropped afterwards: it belongs to the cluster."""
    with new_login(shown_url, f"shudao_grafana_test_{os.getpid()}") as login:
        pass
    yield login
    drop(shown_url, login.user)


def drop(url: str, user: str) -> None:
    """Remove a role."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP ROLE IF EXISTS "{user}"')


@pytest.fixture
def reader(shown_url: str, login: Login) -> Iterator[Rows]:
    """What Grafana is: a session of the read-only login."""
    with psycopg.connect(shown_url, user=login.user, password=login.password) as connection:
        yield connection
