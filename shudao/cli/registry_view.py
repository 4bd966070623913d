"""How ``shudao registry`` prints divisions in a terminal."""

from __future__ import annotations

from typing import Any

WORDS = {
    "prefecture": ("prefecture", "prefectures"),
    "county": ("county", "counties"),
    "development_zone": ("development zone", "development zones"),
    "town": ("town", "towns"),
    "village": ("village", "villages"),
    "community": ("community", "communities"),
    "special": ("special unit", "special units"),
}
COORDINATES = {
    "synthetic": "synthetic: drawn inside the county, no survey",
    "surveyed": "surveyed",
    "coarse": "coarse",
}
SHOWN_CHILDREN = 40


def print_division(division: dict[str, Any]) -> None:
    """Print what `shudao.registry.lookup.describe` found."""
    kind = division["kind"] or division["level"]
    if division["zone_in"]:
        kind = f"development zone in the place of a county, on the land of {division['zone_in']}"
    print(f"{division['code']}  {division['name']}  ({kind}, {division['vintage']})")
    print(f"  {division['path']}")
    if division["counts"]:
        print("  " + ", ".join(counted(n, what) for what, n in division["counts"].items()))
    if division["place"]:
        _print_place(division["place"])
    print(f"  source: {division['source']}")
    for other in division["other_vintages"]:
        meaning = other["path"] if other["differs"] else "the same"
        print(f"  in {other['vintage']} this code is {meaning}")
    if not division["other_vintages"]:
        print("  no other vintage has this code")
    children = division["children"]
    for child in children[:SHOWN_CHILDREN]:
        print(f"    {child['code']}  {child['name']}")
    if len(children) > SHOWN_CHILDREN:
        print(f"    … and {len(children) - SHOWN_CHILDREN} more: --json lists them all")


def print_found(rows: list[dict[str, Any]]) -> None:
    """Print what `shudao.registry.lookup.find` found, one line each."""
    for row in rows:
        kind = row["kind"] or row["level"]
        print(f"{row['code']:<12}  {kind:<10}  {row['vintage']}  {row['path']}")


def counted(n: int, what: str) -> str:
    """``183 counties``, ``1 county``."""
    one, many = WORDS[what]
    return f"{n:,} {one if n == 1 else many}"


def _print_place(place: dict[str, Any]) -> None:
    print(
        f"  {place['lon']:.6f}, {place['lat']:.6f} (WGS-84, lon, lat)"
        f" ± {place['coord_precision_m']:,.0f} m, {COORDINATES[place['coord_source']]}"
    )
    print(f"  place {place['place_id']}")
