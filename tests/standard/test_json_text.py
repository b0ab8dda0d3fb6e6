"""Tap and target know nothing of one another, and read JSON in C with the same file, of which each has a copy."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_both_copies_of_what_reads_json_are_the_same() -> None:
    copies = [*ROOT.glob("*/*/json_text.h")]
    assert len(copies) == 2
    assert len({copy.read_bytes() for copy in copies}) == 1
