"""The STATE that may be printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_warehouse.load.state_gate import StateGate

#: Steps: a lower-case letter is a record of that stream, upper-case its commit, a digit a STATE, "?" a release.
STORIES = {
    "1?": ["1"],
    "1??": ["1", None],
    "a1?": [None],
    "a1A?": ["1"],
    "1a?": ["1"],
    "a1a2A?": ["2"],
    "ab1A?B?": [None, "1"],
    "ab1a2A?B?": [None, "2"],
    "a1b2A?B?": ["1", "2"],
    "a1b2B?A?": [None, "2"],
    "a1Ab2?B?": ["1", "2"],
    "a12b3A?B?": ["2", "3"],
}


@pytest.mark.parametrize(("story", "released"), STORIES.items())
def test_the_newest_state_before_the_first_uncommitted_record_is_released(
    story: str, released: list[str | None]
) -> None:
    assert _play(story)[0] == released


@given(st.text(alphabet="abcABC12345?", max_size=60))
def test_no_state_is_released_ahead_of_a_record_and_few_are_kept(story: str) -> None:
    """The result equals that of the simple rule: keep every state, and find the newest one that is covered."""
    states: list[tuple[int, str]] = []
    uncommitted: dict[str, int] = {}
    last = -1
    expected: list[str | None] = []
    for position, step in enumerate(story):
        if step.islower():
            uncommitted.setdefault(step, position)
        elif step.isupper():
            uncommitted.pop(step.lower(), None)
        elif step.isdigit():
            states.append((position, step))
        else:
            boundary = min(uncommitted.values(), default=len(story))
            covered = [(at, state) for at, state in states if last < at < boundary]
            expected.append(covered[-1][1] if covered else None)
            last = covered[-1][0] if covered else last
    actual, kept = _play(story)
    assert actual == expected
    assert kept <= 4  # at most one per stream, and one more


def _play(story: str) -> tuple[list[str | None], int]:
    state_gate = StateGate()
    released: list[str | None] = []
    kept = 0
    for step in story:
        if step.islower():
            state_gate.record(step)
        elif step.isupper():
            state_gate.committed(step.lower())
        elif step.isdigit():
            state_gate.state(step)
        else:
            released.append(state_gate.release())
        kept = max(kept, len(state_gate._states))  # noqa: SLF001 - that few are kept is the promise tested
    return released, kept
