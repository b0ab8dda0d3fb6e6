"""Draws the figures of `pair_results.jsonl`: python benchmarks/chart.py [FILE.svg].

The bars show the latest result of every benchmark: the use of HubSpot's budget, and the cost of a tenfold portal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("pair_results.jsonl")
PICTURE = Path(__file__).with_name("pair.svg")
#: The beginning of a result's name, its figure, and the title of the bars.
CHARTS = (
    ("whole", "full run: use of the objects' budget", "use of HubSpot's object budget, from start to end"),
    ("whole", "after 1 % changed: seconds", "seconds of a run after 1 % changed"),
    ("peers", "records/s", "records a second, contacts and deals into PostgreSQL, under Meltano"),
    ("growth", "full run: seconds", "seconds of a full run"),
    ("growth", "full run: peak MB of tap-hubspot-dw", "peak memory of the tap, MB"),
    ("growth", "full run: peak MB of target-warehouse", "peak memory of the target, MB"),
    ("growth", "database MB", "size of the database, MB"),
)
_WIDTH, _NAMES, _BAR, _GAP = 760, 300, 16, 6


def main() -> None:
    """Write the picture."""
    latest = {row["what"]: row["medians"] for row in map(json.loads, RESULTS.read_text().splitlines())}
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    path.write_text(picture(latest))


def picture(latest: Mapping[str, Mapping[str, Any]]) -> str:
    """Return an SVG with a group of bars for every chart that has figures."""
    parts: list[str] = []
    y = 10
    for beginning, figure, title in CHARTS:
        bars = list(_bars(latest, beginning, figure))
        if not bars:
            continue
        y += 22
        parts.append(f'<text x="0" y="{y}" font-weight="bold">{escape(title)}</text>')
        most = max(value for _, value in bars)
        for name, value in bars:
            y += _BAR + _GAP
            width = max(round((_WIDTH - _NAMES - 90) * value / most), 1)
            parts.append(
                f'<text x="0" y="{y}">{escape(name)}</text>'
                f'<rect x="{_NAMES}" y="{y - _BAR + 3}" width="{width}" height="{_BAR}" fill="#ff7a59"/>'
                f'<text x="{_NAMES + width + 6}" y="{y}">{value:,.4g}</text>'
            )
        y += 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {_WIDTH + 24} {y}" font-family="sans-serif" '
        f'font-size="13" fill="#33475b"><rect x="-12" width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _bars(latest: Mapping[str, Mapping[str, Any]], beginning: str, figure: str) -> Iterator[tuple[str, float]]:
    for what, medians in latest.items():
        if what.startswith(beginning):
            for name, value in medians.items():
                if name == figure:
                    yield what.removeprefix(beginning).strip(", "), value
                elif name.endswith(f": {figure}"):
                    yield name.partition(":")[0], value


if __name__ == "__main__":
    main()
