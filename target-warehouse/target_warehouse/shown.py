"""Foreign text made safe to show in a log, an error, a report or a comment."""

from __future__ import annotations

import re

_SPACES = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, characters that change the text direction, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def shown(text: object, most: int = 2000) -> str:
    """Return a text as one line of at most `most` characters, with U+FFFD for control characters.

    A terminal would obey them, and a line break would let foreign text pass for a line of our own.
    """
    line = _CONTROLS.sub("\ufffd", _SPACES.sub(" ", str(text)))
    return line if len(line) <= most else line[: most - 1] + "…"
