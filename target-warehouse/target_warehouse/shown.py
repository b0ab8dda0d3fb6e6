"""Texts of others, made fit to be shown: in a log, in an error, in a report, in a comment."""

from __future__ import annotations

import re

_SPACES = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, what turns the direction of what follows, and halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def shown(text: object, most: int = 2000) -> str:
    """Return a text as one line, at most so long, in which a control character is U+FFFD.

    A terminal would obey it, and a line break would let somebody else's text pass for a line of ours.
    """
    line = _CONTROLS.sub("\ufffd", _SPACES.sub(" ", str(text)))
    return line if len(line) <= most else line[: most - 1] + "…"
