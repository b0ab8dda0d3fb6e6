"""Tap and target do not depend on each other; each has a copy of the files that both need."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["deletions.py", "shown.py"])
def test_both_copies_are_the_same(name: str) -> None:
    copies = [*ROOT.glob(f"*/*_*/**/{name}")]
    assert len(copies) == 2
    assert len({copy.read_bytes() for copy in copies}) == 1
