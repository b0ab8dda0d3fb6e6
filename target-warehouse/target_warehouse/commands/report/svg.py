"""Small charts as HTML with inline SVG. Pure: standard library only.

A picture stretches to the width it has, so text stands beside it, never in it, and stays legible on a telephone.
Everything that comes from outside is escaped here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEIGHT = 100
_STEP = 10  # a bar and the space beside it
_BAR = 7
_UNEVEN = 50  # a largest value of so many times the median hides the others: the scale becomes logarithmic


@dataclass(frozen=True)
class Bar:
    """A value, a class for its colour, and what a pointer over it tells."""

    value: float
    kind: str
    title: str


def columns(
    caption: str, bars: Sequence[Bar], told: Callable[[float], str], ends: tuple[str, str], note: str = ""
) -> str:
    """A figure of upright bars, from left to right in time; `told` makes text of a value, `ends` stand below it."""
    top = max((bar.value for bar in bars), default=0.0)
    is_log = _is_uneven([bar.value for bar in bars])
    shapes = []
    for i, bar in enumerate(bars):
        share = (math.log1p(bar.value) / math.log1p(top) if is_log else bar.value / top) if top else 0.0
        height = max(share * _HEIGHT, 1.5)
        shapes.append(
            f'<rect class="{escape(bar.kind)}" x="{i * _STEP + 1}" y="{_HEIGHT - height:.1f}" width="{_BAR}" '
            f'height="{height:.1f}" rx="1"><title>{escape(bar.title)}</title></rect>'
        )
    notes = " · ".join(filter(None, (f"highest {told(top)}", "logarithmic" if is_log else "", note)))
    return (
        f"<figure><figcaption>{escape(caption)}<small>{escape(notes)}</small></figcaption>"
        f'<svg class="columns" viewBox="0 0 {max(len(bars), 12) * _STEP} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(caption)}">{"".join(shapes)}</svg>'
        f'<div class="ends"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></div></figure>'
    )


def lines(caption: str, note: str, rows: Sequence[tuple[str, Sequence[Bar], str]]) -> str:
    """A figure of level bars: of each row its name, its bars one below the other, and its value as text."""
    top = max((bar.value for _, bars, _ in rows for bar in bars), default=0.0)
    is_log = _is_uneven([bar.value for _, bars, _ in rows for bar in bars])
    drawn = "".join(
        f'<div class="row"><span>{escape(name)}</span><svg viewBox="0 0 100 {len(bars) * 10}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(name)}: {escape(value)}">'
        + "".join(_level(bar, i, top, is_log=is_log) for i, bar in enumerate(bars))
        + f"</svg><b>{escape(value)}</b></div>"
        for name, bars, value in rows
    )
    note = " · ".join(filter(None, (note, "logarithmic" if is_log else "")))
    return f"<figure><figcaption>{escape(caption)}<small>{escape(note)}</small></figcaption>{drawn}</figure>"


def spark(bars: Sequence[Bar]) -> str:
    """Bars so small that they fit a line of a table, on a logarithmic scale."""
    top = math.log1p(max((bar.value for bar in bars), default=0.0)) or 1.0
    shapes = "".join(
        f'<rect class="{escape(bar.kind)}" x="{i * 4}" y="{18 - height:.1f}" width="3" height="{height:.1f}">'
        f"<title>{escape(bar.title)}</title></rect>"
        for i, bar in enumerate(bars)
        for height in [max(math.log1p(bar.value) / top * 18, 2)]
    )
    return f'<svg class="spark" viewBox="0 0 {len(bars) * 4} 18" width="{len(bars) * 4}" height="18">{shapes}</svg>'


def _level(bar: Bar, i: int, top: float, *, is_log: bool) -> str:
    share = (math.log1p(bar.value) / math.log1p(top) if is_log else bar.value / top) if top else 0.0
    return (
        f'<rect class="{escape(bar.kind)}" x="0" y="{i * 10 + 1}" width="{max(share * 100, 0.5):.1f}" height="8">'
        f"<title>{escape(bar.title)}</title></rect>"
    )


def _is_uneven(values: Sequence[float]) -> bool:
    positive = sorted(value for value in values if value > 0)
    return bool(positive) and positive[-1] > _UNEVEN * max(positive[len(positive) // 2], 1e-9)
