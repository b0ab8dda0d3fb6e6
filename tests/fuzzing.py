"""How far Hypothesis looks: a little in every run of the suite, for minutes or hours with WAREHOUSE_TEST_LONG=1.

In the suite it tries the same examples every time, because they decide whether a change may be merged, and does not
shrink what it finds, which takes minutes.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.long import LONG

#: Seconds for a test that looks long.
TIMEOUT = 7_200 if LONG else 300


def examples(suite: int, long: int, **more: Any) -> settings:
    """Settings for as many examples."""
    return settings(
        max_examples=long if LONG else suite,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        derandomize=not LONG,
        phases=tuple(Phase) if LONG else (Phase.explicit, Phase.generate),
        **more,
    )
