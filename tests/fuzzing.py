"""How far Hypothesis looks: a little in every run of the suite, for minutes or hours with WAREHOUSE_TEST_LONG=1.

In the suite it tries the same examples every time, because they decide whether a change may be merged, and does not
shrink what it finds, which takes minutes.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.long import LONG

#: What is put into JSON, anywhere, to damage it.
DAMAGE = [
    *(b"", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\u", b"null", b"\x01"),
    *(bytes([each]) for each in b'"\\{}[],:0e- \0\n'),
]
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
