"""A run that ends with exit code 0 leaves no wrong row, whatever HubSpot answers.

A run with falsified replies may fail. If it does not fail, the tables equal the portal; after the next honest run they
equal it in any case. WAREHOUSE_TEST_LONG=1 tries every lie at every endpoint, in a first run, a later run and a full
pass, which takes hours; WAREHOUSE_TEST_LIES=100:7 tries a hundred of them, chosen with the seed 7.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from tests.long import LONG
from tests.pipeline.changes import COMMON, mixed_changes
from tests.pipeline.lying_proxy import LIES, lying_proxy
from tests.pipeline.pair import Pair
from tests.pipeline.truth import differences, edge_rows, edges, type_ids

WHERE = {
    "lists": "archived=false",
    "archived lists": "archived=true",
    "searches": "/search",
    "associations": "/crm/associations/",
    "owners": "/crm/owners/",
    "pipelines": "/crm/pipelines/",
    "properties": "/crm/properties/",
    "custom objects": "/crm-object-schemas/",
    "batch reads": "POST /crm/objects/",
}
#: Lists without a total: nobody can tell a list that always lacks rows from a shorter list.
WITHOUT_TOTAL = {"archived lists", "owners", "pipelines", "properties", "custom objects"}
SHORT = {
    "no paging",
    "half of the results and no paging",
    "a third of the results",
    "no results and no paging",
}
TIMES = {"once": 1, "four times": 4, "always": 10**6}
REFERENCES = {"owners": "id", "pipelines": "object_type, id", "pipeline_stages": "object_type, pipeline_id, id"}
FULL = {"full_refresh_hours": 1e-6, "association_refresh_hours": 1e-6}


@dataclass(frozen=True)
class Scenario:
    """A lie, the replies that it falsifies, how often, and in which run."""

    lie: str
    where: str
    times: str
    run: str

    def __str__(self) -> str:
        return f"{self.lie}, {self.where}, {self.times}, {self.run}"


def scenarios() -> list[Scenario]:
    """Return all scenarios, or for the suite a few of them, chosen with a fixed seed."""
    every = [
        Scenario(lie, where, times, run)
        for lie in LIES
        for where in WHERE
        for times in TIMES
        for run in ("first run", "later run", "full pass")
        if not (where in WITHOUT_TOTAL and lie in SHORT and (times == "always" or run == "first run"))
    ]
    if sample := os.environ.get("WAREHOUSE_TEST_LIES"):
        number, seed = (int(text) for text in sample.split(":"))
        return random.Random(seed).sample(every, number)
    return every if LONG else random.Random(2).sample(every, 5)


class Copies:
    """The pair behind a proxy, and the expected contents of the tables."""

    def __init__(self, sandbox, proxy, warehouse, folder) -> None:
        self.sandbox, self.proxy, self.warehouse = sandbox, proxy, warehouse
        behind = type("Behind", (), {"url": proxy.url, "token": sandbox.token})
        self.pair = Pair(behind, warehouse, folder, lookback_minutes=0, request_timeout_seconds=2)
        self.references: dict[str, object] = {}

    def wrong(self, *, in_full: bool) -> list[str]:
        """Return what is wrong in the tables, without what only a full pass finds (docs/limits.md)."""
        sentences = differences(self.sandbox, self.warehouse, but_deleted=not in_full)
        truth, rows = edges(self.sandbox), edge_rows(self.warehouse)
        if missing := truth - rows:
            sentences.append(
                f"{len(missing)} of {len(truth)} associations are missing or marked, such as {min(missing)}"
            )
        if in_full and (extra := rows - truth):
            sentences.append(f"{len(extra)} associations no longer exist, such as {min(extra)}")
        for table, rows_now in self.reference_rows().items():
            if self.references and rows_now != self.references[table]:
                sentences.append(f"{table} has {rows_now}, should have {self.references[table]}")
        return sentences

    def reference_rows(self) -> dict[str, object]:
        """Return the number of live rows of every reference table; the portal never changes them."""
        return {
            table: self.warehouse.query(f"SELECT count(*) AS n FROM hubspot.{table} WHERE _sdc_deleted_at IS NULL")
            for table in (*REFERENCES, "properties")
        }

    def change(self, seed: int) -> None:
        """Change the portal."""
        ids = {type_id: [record["id"] for record in self.sandbox.truth(type_id)] for type_id in type_ids(self.sandbox)}
        self.sandbox.mutate(list(mixed_changes(ids, 25, seed, COMMON)))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a request that is always refused is retried for two minutes
@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)  # the lies do not depend on the engine
@pytest.mark.parametrize("scenario", scenarios(), ids=str)
@pytest.mark.sandbox(
    contacts=420, deals=230, appointments=120, divisions=12, associations=600, contact_properties=30, tier="unlimited"
)
def test_a_run_that_ends_with_0_leaves_no_wrong_row(scenario, sandbox, warehouse, tmp_path):
    with lying_proxy(sandbox.url) as proxy:
        copies = Copies(sandbox, proxy, warehouse, tmp_path)
        log = tmp_path / "log"
        if scenario.run != "first run":
            assert copies.pair.run() == (0, 0), log.read_text()[-3000:]
            copies.references = copies.reference_rows()
            copies.change(1)
        settings = FULL if scenario.run == "full pass" else {}
        proxy.lie(scenario.lie, WHERE[scenario.where], TIMES[scenario.times])
        codes = copies.pair.run(**settings)
        proxy.be_honest()
        story = f"{codes} after {proxy.lies} lies\n{log.read_text()[-3000:]}"
        assert "Traceback" not in log.read_text(), story
        assert codes[1] == 0, story
        if codes == (0, 0):
            assert copies.wrong(in_full=False) == [], story
        assert copies.pair.run() == (0, 0), log.read_text()[-3000:]
        assert copies.wrong(in_full=False) == [], story
        assert copies.pair.run(**FULL) == (0, 0), log.read_text()[-3000:]
        assert copies.wrong(in_full=True) == [], story
