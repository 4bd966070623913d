"""Find mapping profiles; refuse a wrong one with its line and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic_core import ErrorDetails

from ingest.recorded.profile import Profile
from ingest.recorded.read import STDIN, open_recorded
from shudao import toml_file
from shudao.errors import ShudaoError
from shudao.toml_file import parse_toml
from shudao.toml_lines import KeyPath

BUNDLED = Path(__file__).with_name("profiles")


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """A profile and its name: the file's, without ``.toml``."""

    name: str
    profile: Profile


def bundled_profiles() -> list[NamedProfile]:
    """The profiles that come with Shudao, by name."""
    return [_load(path) for path in sorted(BUNDLED.glob("*.toml"))]


def load_profile(name: str) -> NamedProfile:
    """A bundled profile by its name, or one's own by its path (``….toml``).

    Raises `ShudaoError` when there is none, or naming the line that is wrong.
    """
    if name.endswith(".toml"):
        return _load(Path(name))
    names = [path.stem for path in sorted(BUNDLED.glob("*.toml"))]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        raise ShudaoError(
            f"there is no profile '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            f"use one of {', '.join(names)}, or the path of your own: --profile mine.toml",
        )
    return _load(BUNDLED / f"{name}.toml")


def recognise(path: str) -> NamedProfile:
    """The bundled profile whose columns a file has. Raises `ShudaoError` unless it is one."""
    profiles = [] if path == STDIN else bundled_profiles()
    fitting = [named for named in profiles if _fits(path, named.profile)]
    if len(fitting) != 1:
        raise ShudaoError(
            f"{len(fitting)} of the profiles fit {path}",
            "name one: --profile NAME; `shudao import --list` shows them",
        )
    return fitting[0]


def _fits(path: str, profile: Profile) -> bool:
    with open_recorded(path, profile.format) as file:
        return set(profile.columns) <= set(file.header)


def _load(path: Path) -> NamedProfile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ShudaoError(
            f"the profile {path} cannot be read ({error})",
            "correct the path, and save the file as UTF-8",
        ) from error
    return NamedProfile(path.stem, parse_profile(text, str(path)))


def parse_profile(text: str, name: str) -> Profile:
    """Read the text of a profile; ``name`` is used in errors. Raises `ShudaoError`."""
    return parse_toml(text, name, Profile, _explain)


def _explain(path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong at ``path``, and what would be right."""
    key = ".".join(str(part) for part in path if isinstance(part, str))
    match detail["type"]:
        case toml_file.WRONG:
            return f"{key}: {detail['ctx']['what']}", detail["ctx"]["right"]
        case "missing":
            return f"{key} is missing", f"add {path[-1]} = …"
        case "extra_forbidden":
            return f"unknown key {key}", "the profiles of `shudao import --list` are examples"
    shown = detail["input"] if isinstance(detail["input"], str | int | float) else "…"
    what = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{key} = {shown!r}: {what}", "the profiles of `shudao import --list` are examples"
