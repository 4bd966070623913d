"""The corridors' file is what its script makes of the package that it names."""

from __future__ import annotations

from shudao.registry.build_corridors import FILE, as_text, build


def test_the_file_is_rebuilt_byte_for_byte() -> None:
    """From routrs and our points alone."""
    assert as_text(build()) == FILE.read_text(encoding="utf-8")
