"""Small charts as HTML with inline SVG. Pure: standard library only.

A chart stretches to the available width, so its text is beside it, not in it, and stays legible on a telephone.
All text from outside is escaped here.
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
_UNEVEN = 50  # if the largest value is more than this many times the median, the scale is logarithmic


@dataclass(frozen=True)
class Bar:
    """A value, the CSS class for its colour, and its tooltip."""

    value: float
    css_class: str
    title: str


def columns(
    caption: str, bars: Sequence[Bar], text_of: Callable[[float], str], ends: tuple[str, str], note: str = ""
) -> str:
    """A figure of vertical bars in order of time; `text_of` formats a value, `ends` label the first and the last."""
    top = max((bar.value for bar in bars), default=0.0)
    is_log = _is_uneven([bar.value for bar in bars])
    shapes = []
    for i, bar in enumerate(bars):
        share = (math.log1p(bar.value) / math.log1p(top) if is_log else bar.value / top) if top else 0.0
        height = max(share * _HEIGHT, 1.5)
        shapes.append(
            f'<rect class="{escape(bar.css_class)}" x="{i * _STEP + 1}" y="{_HEIGHT - height:.1f}" width="{_BAR}" '
            f'height="{height:.1f}" rx="1"><title>{escape(bar.title)}</title></rect>'
        )
    notes = " · ".join(filter(None, (f"highest {text_of(top)}", "logarithmic" if is_log else "", note)))
    return (
        f"<figure><figcaption>{escape(caption)}<small>{escape(notes)}</small></figcaption>"
        f'<svg class="columns" viewBox="0 0 {max(len(bars), 12) * _STEP} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(caption)}">{"".join(shapes)}</svg>'
        f'<div class="ends"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></div></figure>'
    )


def lines(caption: str, note: str, rows: Sequence[tuple[str, Sequence[Bar], str]]) -> str:
    """A figure of horizontal bars; each row has a name, bars one below the other, and a value as text."""
    top = max((bar.value for _, bars, _ in rows for bar in bars), default=0.0)
    is_log = _is_uneven([bar.value for _, bars, _ in rows for bar in bars])
    drawn = "".join(
        f'<div class="row"><span>{escape(name)}</span><svg viewBox="0 0 100 {len(bars) * 10}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(name)}: {escape(value)}">'
        + "".join(_horizontal(bar, i, top, is_log=is_log) for i, bar in enumerate(bars))
        + f"</svg><b>{escape(value)}</b></div>"
        for name, bars, value in rows
    )
    note = " · ".join(filter(None, (note, "logarithmic" if is_log else "")))
    return f"<figure><figcaption>{escape(caption)}<small>{escape(note)}</small></figcaption>{drawn}</figure>"


def spark(bars: Sequence[Bar]) -> str:
    """A sparkline: bars that fit a row of a table, on a logarithmic scale."""
    top = math.log1p(max((bar.value for bar in bars), default=0.0)) or 1.0
    shapes = "".join(
        f'<rect class="{escape(bar.css_class)}" x="{i * 4}" y="{18 - height:.1f}" width="3" height="{height:.1f}">'
        f"<title>{escape(bar.title)}</title></rect>"
        for i, bar in enumerate(bars)
        for height in [max(math.log1p(bar.value) / top * 18, 2)]
    )
    return f'<svg class="spark" viewBox="0 0 {len(bars) * 4} 18" width="{len(bars) * 4}" height="18">{shapes}</svg>'


def _horizontal(bar: Bar, i: int, top: float, *, is_log: bool) -> str:
    share = (math.log1p(bar.value) / math.log1p(top) if is_log else bar.value / top) if top else 0.0
    return (
        f'<rect class="{escape(bar.css_class)}" x="0" y="{i * 10 + 1}" width="{max(share * 100, 0.5):.1f}" height="8">'
        f"<title>{escape(bar.title)}</title></rect>"
    )


def _is_uneven(values: Sequence[float]) -> bool:
    positive = sorted(value for value in values if value > 0)
    return bool(positive) and positive[-1] > _UNEVEN * max(positive[len(positive) // 2], 1e-9)
