"""The effort of Hypothesis: a few examples in every run of the suite, many more with WAREHOUSE_TEST_LONG=1.

In the suite the examples are the same every time, because they decide whether a change can be merged, and Hypothesis
does not shrink a failing example, which takes minutes. The long form takes minutes or hours.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.long import LONG

#: Bytes that damage JSON when they are inserted anywhere.
DAMAGE = [
    *(b"", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\u", b"null", b"\x01"),
    *(bytes([byte]) for byte in b'"\\{}[],:0e- \0\n'),
]
#: The time-out of a fuzzing test, in seconds.
TIMEOUT = 7_200 if LONG else 300


def examples(suite: int, long: int, **more: Any) -> settings:
    """Return the settings for this number of examples in the suite and in the long form."""
    return settings(
        max_examples=long if LONG else suite,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        derandomize=not LONG,
        phases=tuple(Phase) if LONG else (Phase.explicit, Phase.generate),
        **more,
    )
