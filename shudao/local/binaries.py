"""Find the programs that the private services need, or say how to get them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shudao.errors import ShudaoError

HOW_TO_INSTALL = "run deploy/setup.sh, which installs what is missing"
# Debian keeps daemons where an ordinary user's PATH does not look.
SYSTEM_PATH = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Postgres:
    """An installed PostgreSQL: the folder of its programs and its major version."""

    bin: Path
    major: int


def find_mosquitto() -> Path:
    """The mosquitto broker. Raises `ShudaoError` when there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_PATH])
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise ShudaoError("the MQTT broker mosquitto is not installed", HOW_TO_INSTALL)
    return Path(found)


def find_postgres(major: int | None = None) -> Postgres:
    """The newest PostgreSQL that has TimescaleDB; only version ``major`` if one is given.

    Raises `ShudaoError` when there is no server, or none with TimescaleDB.
    """
    servers = [s for s in map(_server, _folders()) if s and major in (None, s.major)]
    version = "" if major is None else f" {major}"
    if not servers:
        raise ShudaoError(f"no PostgreSQL{version} server is installed", HOW_TO_INSTALL)
    ready = [s for s in servers if _has_timescaledb(s)]
    if not ready:
        where = ", ".join(str(s.bin) for s in servers)
        raise ShudaoError(f"PostgreSQL is here ({where}), but without TimescaleDB", HOW_TO_INSTALL)
    return max(ready, key=lambda s: s.major)


def reports_home(server: Postgres) -> bool:
    """Whether this TimescaleDB was built with telemetry, and so has a setting to switch it off.

    To a build without (Debian's, and ours) the setting is unknown, and a reason to complain.
    """
    libraries = Path(_pg_config(server.bin, "--pkglibdir")).glob("timescaledb-*.*")
    return any(b"timescaledb.telemetry_level" in library.read_bytes() for library in libraries)


def _folders() -> list[Path]:
    """Every folder that may hold a server: of the PATH's own first, then Debian's."""
    found = shutil.which("pg_config")
    own = [Path(found).resolve().parent] if found else []
    return own + [f for f in DEBIAN_POSTGRES.glob("*/bin") if f not in own]


def _server(folder: Path) -> Postgres | None:
    if not all((folder / name).exists() for name in ("postgres", "initdb", "pg_config")):
        return None
    version = re.search(r"\d+", _pg_config(folder, "--version"))
    return Postgres(folder, int(version[0])) if version else None


def _has_timescaledb(server: Postgres) -> bool:
    library = Path(_pg_config(server.bin, "--pkglibdir"))
    # macOS names its libraries otherwise.
    return any((library / f"timescaledb{suffix}").exists() for suffix in (".so", ".dylib"))


def _pg_config(folder: Path, option: str) -> str:
    command = [str(folder / "pg_config"), option]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
