"""Kill the tap or the target at random times, again and again; one plain run then makes the tables equal to the portal.

WAREHOUSE_TEST_LONG=1 kills fifty times over 50,000 records, which takes a quarter of an hour.
"""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.long import LONG
from tests.pipeline.changes import in_parts, mixed_changes
from tests.pipeline.pair import Pair
from tests.pipeline.truth import STREAMS, differences, edge_rows, edges

KILLS = 50 if LONG else 6
SIZES = {"contacts": 24_000, "appointments": 8_000, "deals": 18_000} if LONG else {"contacts": 6_000, "deals": 1_500}


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.sandbox(**SIZES, associations=3_000, contact_properties=40, tier="unlimited")
def test_nothing_is_lost_however_often_a_run_is_killed(sandbox, warehouse, tmp_path):
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    pair = Pair(sandbox, warehouse, tmp_path)
    ids = {type_id: [record["id"] for record in sandbox.truth(type_id)] for type_id in STREAMS}
    killed, whole = 0, 4.0  # seconds of a whole run, measured, because a fast machine ends before a fixed time
    for changes in in_parts(list(mixed_changes(ids, KILLS * 10, seed=seed)), KILLS):
        victim = rng.choice(["tap", "target"])
        how = rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
        began = time.monotonic()
        codes = pair.run(kill=(victim, how, rng.uniform(0.25, 1.0) * whole))
        code = codes[0] if victim == "tap" else codes[1]
        assert code in {0, 1, -how, 128 + how}, f"seed {seed}: the {victim} ended with {code}"
        killed += code != 0
        whole = whole if code else min(whole, time.monotonic() - began)
        sandbox.mutate(changes)
    assert killed, f"seed {seed}: every run had ended before its signal came"
    pair.state.get("bookmarks", {}).pop("associations", None)  # a new full pass also finds removed associations
    assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]
    assert differences(sandbox, warehouse) == [], f"seed {seed}"
    assert edge_rows(warehouse) == edges(sandbox), f"seed {seed}"
