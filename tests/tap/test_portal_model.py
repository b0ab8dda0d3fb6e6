"""Whatever happens to a portal while it is read, run after run: once it is quiet, one more run has everything.

Hypothesis makes up portals, what happens between and during the pages, and where runs are cut off; the tap reads an
in-memory portal (`portal_model`) through its own client. The numbers are small ones: a page has three records, a search
reaches a hundred, a range of ids has fifty. WAREHOUSE_TEST_LONG=1 looks longer.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import ExitStack
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import responses
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_hubspot_dw import portal, ranges
from tap_hubspot_dw.errors import RunStoppedError
from tap_hubspot_dw.events import Activation, Block, Checkpoint
from tap_hubspot_dw.ranges import Range, gaps
from tap_hubspot_dw.state import StreamState
from tap_hubspot_dw.streams import objects
from tap_hubspot_dw.tap import TapHubSpotDW
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp
from tests.fuzzing import TIMEOUT, examples
from tests.tap.portal_model import MOST_RESULTS, PortalModel

LOOKBACK_MINUTES = 5
LOOKBACK = LOOKBACK_MINUTES * 60_000
SMALL = [
    *((module, "RANGE_RECORDS", 50) for module in (portal, objects)),
    *((module, "LEAST_TO_SHARE", 10) for module in (portal, ranges)),
    *((portal, "MOST_RESULTS", MOST_RESULTS), (objects, "CHECKPOINT_RECORDS", 25), (objects, "_BLOCK_RECORDS", 3)),
]
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

PAUSES = [1, 1_000, LOOKBACK - 1, LOOKBACK, LOOKBACK + 1, 3_600_000]
LATE = [0, 0, 1, LOOKBACK // 2, LOOKBACK - 1, LOOKBACK]
#: How many contacts there are, and ids that they may have; a merged or deleted one is never given again.
COUNTS, IDS = [0, 6, 40, 160, 160], range(1, 500)
pauses = st.sampled_from(PAUSES)
seeds = st.integers(0, 10**6)
numbers = st.sampled_from([*range(20), 25, 30, 40, 60])
busy = st.sampled_from([0, 1, 3, 10])
steps = st.sampled_from([0, 1, 1_000, 60_000])


def changes(random: Random, most: int) -> list[tuple[Any, ...]]:
    """What happens to the portal, in order."""
    found: list[tuple[Any, ...]] = []
    for _ in range(random.randint(0, most)):
        kind = random.choice(["create", "edit", "edit", "archive", "restore", "merge"])
        found.append((kind, *(random.choice(IDS) for _ in range(1 + (kind == "merge"))), random.choice(LATE)))
    return found


class Runs(RuleBasedStateMachine):
    """A portal, runs of the tap one after the other, and the table that a target would have of them."""

    def __init__(self) -> None:
        super().__init__()
        self.portal = PortalModel()
        self.saved: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.read: list[int] = []
        self.context = ExitStack()
        patch = self.context.enter_context(pytest.MonkeyPatch.context())
        for module, name, value in SMALL:
            patch.setattr(module, name, value)
        mock = self.context.enter_context(responses.RequestsMock(assert_all_requests_are_fired=False))
        for method in ("GET", "POST"):
            mock.add_callback(method, re.compile("http://hubspot.test/.*"), callback=self.portal)

    def teardown(self) -> None:
        self.context.close()

    @initialize(
        count=st.sampled_from(COUNTS), seed=seeds, spread=st.sampled_from([0, 1]), workers=st.sampled_from([1, 3])
    )
    def begin(self, count: int, seed: int, spread: int, workers: int) -> None:
        """Contacts, all of the same millisecond or one each."""
        self.workers = workers
        for each in sorted(Random(seed).sample(IDS, count)):
            self.portal.create(each, 0)
            self.portal.now += spread
        self.portal.now += 1

    def _happens(self, change: tuple[Any, ...]) -> None:
        kind, *arguments = change
        if kind == "restore":
            self.portal.restore(*arguments, bumps=True)
        else:
            getattr(self.portal, kind)(*arguments)

    @rule(seed=seeds, pause=pauses)
    def between(self, seed: int, pause: int) -> None:
        """Things happen while no run is under way, all in the same millisecond."""
        for change in changes(Random(seed), 30):
            self._happens(change)
        self.portal.now += pause

    @rule(count=st.sampled_from(COUNTS), late=st.sampled_from(LATE))
    def import_in_bulk(self, count: int, late: int) -> None:
        """Many contacts change in the same millisecond."""
        for each in range(count):
            self.portal.edit(each, late)

    @rule()
    def forget(self) -> None:
        """The state is lost."""
        self.saved = {}

    @rule(seed=seeds, busy=busy, step=steps, pause=pauses)
    def run(self, seed: int, busy: int, step: int, pause: int) -> None:
        """A run that is disturbed and comes to its end."""
        self._disturbed(seed, busy, step, pause)

    @rule(seed=seeds, busy=busy, step=steps, pause=pauses, dead_from=st.none() | numbers, kept=st.none() | numbers)
    def cut_off(self, seed: int, busy: int, step: int, pause: int, dead_from: int | None, kept: int | None) -> None:
        """One that is cut off: by HubSpot at a request, or killed behind some of its events; a full one if it can."""
        self.portal.now += 3_600_000
        self._disturbed(seed, busy, step, pause, dead_from=dead_from, kept=kept)

    def _disturbed(self, seed: int, busy: int, step: int, pause: int, **cut: int | None) -> None:
        portal, random = self.portal, Random(seed)
        portal.step = step
        for number in range(150):
            those = changes(random, busy)
            portal.plan[number] = lambda those=those: [self._happens(each) for each in those]
        portal.short = {number for number in range(0, 150, 2) if random.random() < 0.05}
        self._run(**cut)
        portal.plan, portal.short, portal.step = {}, set(), 1
        portal.now += pause

    @rule()
    def quiet(self) -> None:
        """Nothing happens for a while: the next run makes the table true, and the one after it reads what it must."""
        self.portal.now += LOOKBACK + 1
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
        self._run()
        assert sorted(self.read) == (sorted(self.portal.live) if is_full else sorted(explained))

    def _run(self, *, dead_from: int | None = None, kept: int | None = None) -> None:
        """Let the tap run; what comes behind the first `kept` events is never written."""
        self.read = []
        started = self.portal.now
        state = {"bookmarks": {"contacts": json.loads(json.dumps(self.saved))}} if self.saved else {}
        tap = TapHubSpotDW(config={**SETTINGS, "workers": self.workers}, state=state)
        stream: Any = tap.streams["contacts"]
        stream.run.began_at = parse_timestamp(str(started))
        self.portal.requests, self.portal.dead_from = 0, dead_from
        threads = set(threading.enumerate())
        stream.begin()
        try:
            for number, event in enumerate(stream.events()):
                if kept is None or number < kept:
                    self._write(event, started)
        except RunStoppedError:
            assert dead_from is not None
        finally:
            for thread in set(threading.enumerate()) - threads:
                thread.join()
            self.portal.dead_from = None
        assert stream.done.error is None or dead_from is not None, stream.done.error

    def _write(self, event: object, started: int) -> None:
        if isinstance(event, Block):
            for line in event.lines.splitlines():
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
TestRuns.settings = examples(suite=25, long=3_000, stateful_step_count=12)
