"""Promises that do not hold yet: the test says what is promised, the mark what breaks it; both go in one change."""

from __future__ import annotations

import pytest


def hole(why: str) -> pytest.MarkDecorator:
    """Expect the test to fail; a test that passes under this mark fails the suite."""
    return pytest.mark.xfail(strict=True, reason=why)
