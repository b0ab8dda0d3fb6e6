"""Damaged input for both C extensions, compared with the Python code, for some time; the seed repeats a run.

    python -m tests.fuzz_extensions --seconds 60 --seed 1

`.ci/sanitize` runs it under AddressSanitizer.
"""

from __future__ import annotations

import argparse
import time
from random import Random
from typing import TYPE_CHECKING

from tests.fuzzing import DAMAGE
from tests.tap.records.both_paths import GOOD as REPLY
from tests.tap.records.both_paths import WAYS
from tests.target.decode.both_decoders import DECODERS, FORMS, GOOD, VALUES, line

if TYPE_CHECKING:
    from collections.abc import Callable


def damaged(content: bytes, random: Random) -> bytes:
    """Return the content with one to four places cut, replaced or extended."""
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(content))
        content = content[:at] + random.choice(DAMAGE) + content[at + random.choice((0, 0, 1, 3, 50)) :]
    return content


def reply(random: Random) -> None:
    """Read a damaged reply of HubSpot on both paths."""
    WAYS.assert_alike(damaged(REPLY, random))


def lines(random: Random) -> None:
    """Decode damaged lines with any values with both decoders."""
    names = [name for name in FORMS if name not in GOOD and not name.startswith("_sdc_")]
    group = b"".join(
        line({**GOOD, **{name: random.choice(VALUES) for name in random.sample(names, 3)}})
        for _ in range(random.randint(1, 4))
    )
    content = damaged(group, random).replace(b"\n", b" ").strip()
    DECODERS.decoded(content + b"\n")


def run(fuzz: Callable[[Random], None], seconds: float, seed: int) -> int:
    """Fuzz for some time; return the number of inputs."""
    random, end, count = Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            fuzz(random)
        except BaseException:
            print(f"{fuzz.__name__}: input {count} of seed {seed} fails.")
            raise
        count += 1
    return count


def main() -> None:
    """Fuzz both extensions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for fuzz in (reply, lines):
        print(f"{fuzz.__name__}: {run(fuzz, options.seconds, options.seed):,} damaged inputs, all read alike.")


if __name__ == "__main__":
    main()
