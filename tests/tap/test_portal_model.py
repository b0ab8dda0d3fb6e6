"""A portal may change in any way while it is read, run after run: once it is quiet, one more run has everything.

Hypothesis generates portals, events between and during pages, and interruptions of runs; the tap reads an in-memory
portal (`portal_model`) through its own client. The limits are small: three records a page, a hundred results a search,
fifty records a range of ids. WAREHOUSE_TEST_LONG=1 runs more examples.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
import responses
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_hubspot_dw.errors import RunStoppedError
from tap_hubspot_dw.hubspot.limits import Limits
from tap_hubspot_dw.reading.id_ranges import Range, gaps
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.run.run import CLOCK_TOLERANCE
from tap_hubspot_dw.singer.events import Activation, Block, Checkpoint
from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp
from tests.fuzzing import TIMEOUT, examples
from tests.tap.portal_model import LIES, MOST_RESULTS, PortalModel

LOOKBACK_MINUTES = 5
LOOKBACK = LOOKBACK_MINUTES * 60_000
SMALL = Limits(
    range_records=50,
    least_to_split=10,
    search_results=MOST_RESULTS,
    checkpoint_records=25,
    archived_block=3,
    empty_page_waits=(0.0, 0.0),
    short_page_waits=(0.0, 0.0),
    archived_list_waits=(0.0,) * 9,  # up to ten changes with each request may hide an archived record several times
)
SETTINGS = {
    "api_url": "http://hubspot.test",
    "access_token": "x",
    "objects": ["contacts"],
    "associations": False,
    "lookback_minutes": LOOKBACK_MINUTES,
    "full_refresh_hours": 1,
    "page_size": 3,
    "progress_seconds": 0,
}

PAUSES = [1, 1, 1_000, LOOKBACK // 3, LOOKBACK - 1, LOOKBACK, 3_600_000]
LATE = [0, 0, 1, LOOKBACK // 2, LOOKBACK - 1, LOOKBACK]
#: The number of contacts, and their possible ids; the id of a merged or deleted contact is never used again.
COUNTS, IDS = [160, 40, 100, 160, 6, 0], range(1, 500)
seeds = st.integers(0, 10**6)


def changes(random: Random, most: int) -> list[tuple[Any, ...]]:
    """The events in the portal, in order."""
    found: list[tuple[Any, ...]] = []
    for _ in range(random.randint(0, most)):
        action = random.choice(["create", "edit", "edit", "archive", "restore", "merge"])
        found.append((action, *(random.choice(IDS) for _ in range(1 + (action == "merge"))), random.choice(LATE)))
    return found


class ModelTap(TapHubSpotDW):
    """The tap with the limits of the model's portal, and with its clock, which may be wrong."""

    limits = SMALL
    clock: Callable[[], datetime]

    def machine_time(self) -> datetime:
        return self.clock()


class Runs(RuleBasedStateMachine):
    """A portal, successive runs of the tap, and the table that a target would have."""

    def __init__(self) -> None:
        super().__init__()
        self.portal = PortalModel()
        self.saved: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.read: list[int] = []
        self.skew = 0
        self.context = ExitStack()
        self.tap = type("TapOfThisModel", (ModelTap,), {"clock": staticmethod(self._machine_time)})
        mock = self.context.enter_context(responses.RequestsMock(assert_all_requests_are_fired=False))
        for method in ("GET", "POST"):
            mock.add_callback(method, re.compile("http://hubspot.test/.*"), callback=self.portal)

    def teardown(self) -> None:
        self.context.close()

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        """Create contacts, in the same millisecond or one millisecond apart, and do a first run."""
        random = Random(seed)
        count, spread, workers = random.choice(COUNTS), random.choice([0, 1]), random.choice([1, 3])
        self.workers = workers
        for each in sorted(random.sample(IDS, count)):
            self.portal.create(each, 0)
            self.portal.now += spread
        self.portal.now += 1
        self._run()

    def _happens(self, change: tuple[Any, ...]) -> None:
        action, *arguments = change
        if action == "restore":
            self.portal.restore(*arguments, bumps=True)
        else:
            getattr(self.portal, action)(*arguments)

    @rule(seed=seeds)
    def between(self, seed: int) -> None:
        """Change the portal between runs, all in one millisecond; sometimes every contact changes first."""
        random = Random(seed)
        if random.random() < 0.3:
            for each in range(150):
                self.portal.edit(each, random.choice(LATE))
        for change in changes(random, 30):
            self._happens(change)
        self.portal.now += random.choice(PAUSES)

    @rule()
    def forget(self) -> None:
        """Lose the state."""
        self.saved = {}

    @rule(seed=seeds)
    def run(self, seed: int) -> None:
        """Do runs that are disturbed and complete."""
        random = Random(seed)
        for _ in range(random.randint(1, 3)):
            self._disturbed(random)

    @rule(seed=seeds)
    def lied_to(self, seed: int) -> None:
        """Do runs with incomplete replies, single refusals or a wrong clock; some fail."""
        random = Random(seed)
        self.portal.now += random.choice([0, 3_600_000, 3_600_000])
        self.skew = random.choice([0, 7_200_000, -7_200_000])
        for _ in range(random.randint(1, 3)):
            share = random.choice([0.02, 0.2, 1])
            self.portal.lies = {each: random.choice(LIES) for each in range(150) if random.random() < share}
            self._disturbed(random, may_fail=True)
        self.skew, self.portal.lies = 0, {}

    @rule(seed=seeds)
    def cut_off(self, seed: int) -> None:
        """Do interrupted runs, mostly full passes: HubSpot refuses a request, or a kill follows some events."""
        random = Random(seed)
        self.portal.now += random.choice([0, 3_600_000, 3_600_000])
        for _ in range(random.randint(1, 3)):
            self._disturbed(random, **{random.choice(["dead_from", "kept"]): random.randint(1, 60)})

    def _disturbed(self, random: Random, **how: Any) -> None:
        portal, busy, step = self.portal, random.choice([0, 3, 10]), random.choice([0, 1, 1_000, 20_000])
        portal.step = step
        for number in range(150):
            those = changes(random, busy)
            portal.plan[number] = lambda those=those: [self._happens(each) for each in those]
        portal.short = {number for number in range(0, 150, 2) if random.random() < 0.05}
        self._run(**how)
        portal.plan, portal.short, portal.step = {}, set(), 1
        portal.now += random.choice(PAUSES)

    @rule(seed=seeds)
    def quiet(self, seed: int) -> None:
        """Once the index is up to date, the next run makes the table correct; the one after reads only what it must."""
        random = Random(seed)
        self.portal.now += LOOKBACK + 1
        for _ in range(5):
            self.portal.edit(random.choice(IDS), 0)
            self.portal.now += random.choice([0, 1, LOOKBACK // 10])
        self.portal.now += random.choice([1, LOOKBACK // 2, LOOKBACK])
        self._run()
        live = {each for each, row in self.rows.items() if not row.get("_sdc_deleted_at")}
        assert live == set(self.portal.live), live ^ set(self.portal.live)
        assert {each: self.rows[each]["name"] for each in live} == {
            each: known["name"] for each, known in self.portal.live.items()
        }
        assert "full_pass" not in self.saved
        self._reads_again_only_what_the_lookback_explains()

    def _reads_again_only_what_the_lookback_explains(self) -> None:
        bookmark = parse_timestamp(self.saved["replication_key_value"])
        self.portal.now += 1
        since = epoch_ms(bookmark) - LOOKBACK
        explained = [each for each, known in self.portal.live.items() if known["modified"] >= since]
        state = StreamState.from_json(self.saved)
        is_full = state.is_full_pass_due(timedelta(hours=1), parse_timestamp(str(self.portal.now)))
        began = self.portal.now
        self._run()
        twice = [each for each, times in Counter(self.read).items() if times > 1]
        meanwhile = began - 2 * CLOCK_TOLERANCE // timedelta(milliseconds=1)  # what changes while a full pass reads
        assert not twice or (is_full and all(self.portal.live[each]["modified"] >= meanwhile for each in twice))
        assert sorted(set(self.read)) == (sorted(self.portal.live) if is_full else sorted(explained))

    def _run(self, *, dead_from: int | None = None, kept: int | None = None, may_fail: bool = False) -> None:
        """Run the tap, but write only the first `kept` events."""
        self.read = []
        started = self.portal.now
        state = {"bookmarks": {"contacts": json.loads(json.dumps(self.saved))}} if self.saved else {}
        tap = self.tap(config={**SETTINGS, "workers": self.workers}, state=state)
        self.portal.requests, self.portal.dead_from = 0, dead_from
        threads = set(threading.enumerate())
        reading = tap.streams["contacts"].begin()
        try:
            for number, event in enumerate(reading.events()):
                if kept is None or number < kept:
                    self._write(event, started)
        except RunStoppedError:
            assert dead_from is not None
        finally:
            for thread in set(threading.enumerate()) - threads:
                thread.join()
            self.portal.dead_from = None
        assert reading.done.error is None or dead_from is not None or may_fail, reading.done.error
        assert "in the tap itself" not in (reading.done.error or ""), reading.done.error

    def _machine_time(self) -> datetime:
        return parse_timestamp(str(self.portal.now + self.skew))

    def _write(self, event: object, started: int) -> None:
        if isinstance(event, Block):
            for line in b"".join(event.lines).splitlines():
                message = json.loads(line)
                record, key = message["record"], int(message["record"]["id"])
                is_delete = bool(record.get("_sdc_deleted_at"))
                if not is_delete:
                    self.read.append(key)
                old = self.rows.get(key, {}) if is_delete else {}
                self.rows[key] = old | record | {"version": message["version"]}
        elif isinstance(event, Activation):
            for row in self.rows.values():
                if row["version"] < event.version:
                    row["_sdc_deleted_at"] = "activated"
        elif isinstance(event, Checkpoint):
            self._check(event.state, started)
            self.saved = json.loads(json.dumps(event.state))

    def _check(self, state: dict[str, Any], started: int) -> None:
        now = format_timestamp(parse_timestamp(str(started)))
        if bookmark := state.get("replication_key_value"):
            assert self.saved.get("replication_key_value", "") <= bookmark <= now
        if under_way := state.get("full_pass"):
            finished = [Range(*each) for each in under_way["ranges"]]
            between = gaps(finished)
            for each in IDS:
                assert sum(_holds(span, each) for span in [*finished, *between]) == 1


def _holds(span: Range, record_id: int) -> bool:
    return span.above < record_id and (span.through is None or record_id <= span.through)


TestRuns = pytest.mark.timeout(TIMEOUT)(Runs.TestCase)
TestRuns.settings = examples(suite=40, long=3_000, stateful_step_count=15)
