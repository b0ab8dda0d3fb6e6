"""Tap and target know nothing of one another; what both need is a file of which each has a copy."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["json_text.h", "deletions.py", "shown.py"])
def test_both_copies_are_the_same(name: str) -> None:
    copies = [*ROOT.glob(f"*/*_*/**/{name}")]
    assert len(copies) == 2
    assert len({copy.read_bytes() for copy in copies}) == 1
