"""Random combinations of all behaviour of the sandbox: faults, quirks, changes between and during reads.

Two properties must always hold: after an exit code of 0 nothing is missing, and the next plain run closes the gaps
that a failed run left. The test's name has the seed; WAREHOUSE_TEST_LONG=1 runs 300 scenarios.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from hubspot_sandbox.behaviour.quirks import QUIRKS
from tests.long import LONG
from tests.pipeline.changes import mixed_changes
from tests.tap.running import TapRun, is_gone, run_tap
from tests.tap.storms import storm

SEEDS = range(1, 151 if LONG else 3)
TINY = {"contacts": 130, "appointments": 45, "divisions": 3, "deals": 60, "associations": 260}
STREAMS = {"contacts": "0-1", "deals": "0-3", "appointments": "0-421"}
EDGE = ("from_object_type", "from_id", "to_object_type", "to_id", "association_type_id", "label")
LONG_AGO = "2026-01-01T00:00:00.000Z"
OAUTH = {
    "client_id": "sandbox-client-id",
    "client_secret": "sandbox-client-secret-not-a-secret",
    "refresh_token": "sandbox-refresh-not-a-secret",
}

STORMY = {
    "to-object-id": ["number", "string"],
    "list-cursor": ["opaque"],
    "arbitrary-after": ["reject"],
    "batch-order": ["reversed", "id"],
    "association-page": ["1", "2"],
    "dead-id-in-association-batch": ["400"],
    "deal-to-appointment-type": ["999"],
    "association-errors": ["no-subcategory", "own-category", "message-only"],
    "longest-url": ["8000"],
    "error-bodies": ["plain"],
    "archived-unsupported": ["0-421", "0-1,0-3"],
    "over-limit": ["clamp"],
    "restore-bumps": ["false"],
    "short-search-pages": ["1", "2"],
    "empty-search-pages": ["2", "3"],
}
CALM = {quirk.name: quirk.default for quirk in QUIRKS}


class Copy:
    """The tables that a target would have, and the state that Meltano would keep."""

    def __init__(self, sandbox, folder, rng: random.Random) -> None:
        self.sandbox, self.folder, self.rng, self.state = sandbox, folder, rng, {}
        self.rows: dict[str, dict[tuple[object, ...], dict[str, Any]]] = {}

    def run(self, **more: object) -> TapRun:
        """Run the tap with settings that must not affect the result, and load its output."""
        settings = more | {
            "api_url": self.sandbox.url,
            "objects": list(STREAMS),
            "api_version": self.rng.choice(["2026-09", "2026-03", "v3"]),
            "page_size": self.rng.choice([100, 17]),
            "workers": self.rng.choice([1, 3, 8]),
            "request_timeout_seconds": 1,
            **self.rng.choice([{"access_token": self.sandbox.token}, OAUTH]),
        }
        run = run_tap(self.folder, settings, state=self.state)
        assert "Traceback" not in run.log, run.log
        assert run.returncode in {0, 1, 75}
        self.state = run.state or self.state
        for message in run.messages:
            rows = self.rows.setdefault(message.get("stream", ""), {})
            if message["type"] == "RECORD":
                record = message["record"]
                key = tuple(record[name] for name in (("id",) if "id" in record else EDGE[:5]) if name in record)
                old = rows.get(key, {}) if record.get("_sdc_deleted_at") else {}
                rows[key] = old | record | {"version": message.get("version")}
            elif message["type"] == "ACTIVATE_VERSION":
                for row in rows.values():
                    if is_gone(message, row, row["version"]):
                        row["_sdc_deleted_at"] = row.get("_sdc_deleted_at") or "activated"
        return run

    def until_true(self, *, in_full: bool = False) -> None:
        """Run once, and again if the run failed or HubSpot changed meanwhile; then everything must be right."""
        is_true = False
        while not is_true:
            if in_full:
                self.let_all_passes_be_due()
            if self.rng.random() < 0.2:
                self.run(max_records=self.rng.randint(1, 200))  # a sample may not spoil what follows
            before = self.sandbox.get("status")["pagesChangedWhilePaging"]
            run = self.run()
            if run.returncode:
                self.sandbox.faults([])
                run = self.run()
                assert run.returncode == 0, run.log
            is_true = self.sandbox.get("status")["pagesChangedWhilePaging"] == before
        if "gives no list of archived records" in run.log:  # a declared limit, and said: the next full pass shows them
            self.let_all_passes_be_due()
            self.sandbox.faults([])
            assert self.run().returncode == 0

    def let_all_passes_be_due(self) -> None:
        for saved in self.state["bookmarks"].values():
            if "full_pass_at" in saved:
                saved["full_pass_at"] = LONG_AGO

    def live(self, stream: str) -> dict[tuple[object, ...], dict[str, Any]]:
        return {key: row for key, row in self.rows.get(stream, {}).items() if not row.get("_sdc_deleted_at")}

    def objects(self) -> dict[str, dict[str, str]]:
        return {
            stream: {str(key[0]): row["updated_at"] for key, row in self.live(stream).items()} for stream in STREAMS
        }

    def edges(self) -> set[tuple[object, ...]]:
        return {tuple(row[name] for name in EDGE) for row in self.live("associations").values()}


def true_objects(sandbox) -> dict[str, dict[str, str]]:
    return {
        stream: {each["id"]: each["updatedAt"] for each in sandbox.truth(object_type)}
        for stream, object_type in STREAMS.items()
    }


def true_edges(sandbox) -> set[tuple[object, ...]]:
    names = {type_id: stream for stream, type_id in STREAMS.items()}
    order = ["0-421", "0-3", "0-1"]
    return {
        (names[each["fromType"]], each["fromId"], names[each["toType"]], each["toId"], each["typeId"], each["label"])
        for each in sandbox.truth_associations()
        if {each["fromType"], each["toType"]} <= names.keys()
        and order.index(each["fromType"]) <= order.index(each["toType"])
    }


@pytest.fixture(scope="module", params=[25, 900], ids=["narrow", "wide"])
def portal(request, sandbox_factory):
    """A portal whose properties fit in the URL of a list, and one whose do not, which is read in batches."""
    return sandbox_factory(**TINY, contact_properties=request.param, tier="unlimited")


def test_the_storm_knows_every_quirk():
    """Except those that change the data and not the way to read it: see test_changes.py."""
    assert STORMY.keys() == CALM.keys() - {"unlisted-properties", "custom-pipelines"}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_missing_behind_an_exit_code_of_0_and_the_next_run_closes_every_gap(portal, tmp_path, seed):
    rng = random.Random(seed)
    portal.reset()
    chosen = rng.sample(sorted(STORMY), rng.randint(0, 3))
    portal.settings(indexLagSeconds=0, quirks=CALM | {name: rng.choice(STORMY[name]) for name in chosen})
    copy = Copy(portal, tmp_path, rng)
    portal.faults(storm(rng))
    copy.until_true()
    assert copy.objects() == true_objects(portal)
    assert copy.edges() == true_edges(portal)

    ids = {object_type: [each["id"] for each in portal.truth(object_type)] for object_type in STREAMS.values()}
    portal.settings(indexLagSeconds=rng.choice([0, 0, 900]))
    portal.mutate(list(mixed_changes(ids, 14, seed)))
    if rng.random() < 0.4:
        kinds = ["edit-while-paging", "churn-while-paging"]
        portal.mutate([{"kind": rng.choice(kinds), "type": "0-1", "every": rng.randint(1, 3), "times": 2}])
    portal.faults(storm(rng))
    copy.until_true()
    portal.settings(indexLagSeconds=0)  # the index has caught up
    if "restore-bumps" not in chosen:
        restored = [each["id"] for each in portal.truth("0-1", state="archived")][:2]
        portal.mutate([{"kind": "restore", "type": "0-1", "id": each} for each in restored])
    copy.until_true()
    assert copy.objects() == true_objects(portal)
    assert true_edges(portal) - copy.edges() == set()
    assert not any(copy.state["bookmarks"][stream].get("full_pass") for stream in STREAMS)

    portal.faults(storm(rng))
    copy.until_true(in_full=True)
    assert copy.objects() == true_objects(portal)
    assert copy.edges() == true_edges(portal)
