"""`meltano run tap-hubspot-dw target-warehouse` makes the tables equal to the portal and keeps them equal."""

from __future__ import annotations

import pytest

from tests.long import LONG
from tests.pipeline.changes import mixed_changes
from tests.pipeline.truth import STREAMS, differences, edge_rows, edges, project_for, type_ids

# More contacts than a search returns (10,000), so that a full pass has several ranges.
SIZES = {"contacts": 11_000, "appointments": 1_500, "divisions": 40, "deals": 2_000, "associations": 20_000}
if LONG:
    SIZES = {"contacts": 20_000, "appointments": 8_000, "divisions": 40, "deals": 10_000, "associations": 85_000}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.sandbox(**SIZES, contact_properties=300 if LONG else 100, tier="unlimited")
def test_a_full_run_and_a_run_after_500_changes_leave_no_difference(sandbox, warehouse, tmp_path):
    project = project_for(sandbox, warehouse, tmp_path)
    project.run("tap-hubspot-dw", "target-warehouse")
    assert differences(sandbox, warehouse) == []
    before = edges(sandbox)
    assert len(before) >= 0.7 * SIZES["associations"]
    assert edge_rows(warehouse) == before

    ids = {type_id: [record["id"] for record in sandbox.truth(type_id)] for type_id in STREAMS}
    changes = list(mixed_changes(ids, 500, seed=1))
    results = sandbox.mutate(changes)
    project.run("tap-hubspot-dw", "target-warehouse")
    assert differences(sandbox, warehouse) == []
    now, rows = edges(sandbox), edge_rows(warehouse)
    assert now - rows == set()
    gone = {
        end
        for result in results
        for end in (result.get("mergedId"), result.get("id"))
        if result["kind"] in {"archive", "merge"}
    }
    dissociated = {
        end
        for change in changes
        for end in (change.get("fromId"), change.get("toId"))
        if change["kind"] == "dissociate"
    }
    assert all({row[1], row[3]} & (gone | dissociated) for row in rows - now)  # removed edges: see docs/limits.md
    shown = edge_rows(warehouse, "live.associations WHERE from_name <> '' AND to_name <> ''")
    assert now - shown == set()
    assert all({row[1], row[3]} & dissociated for row in shown - now)  # the view requires that both ends are live
    for type_id, stream in type_ids(sandbox).items():
        ids_shown = [row["id"] for row in warehouse.query(f'SELECT id FROM live."{stream}"')]
        assert sorted(ids_shown) == sorted(record["id"] for record in sandbox.truth(type_id))
    other_email = "JOIN hubspot.owners o ON o.id = d.hubspot_owner_id WHERE d.hubspot_owner_email <> o.email"
    assert warehouse.query(f"SELECT d.id FROM live.deals d {other_email}") == []
    # The changes set stages of the pipeline `default` on deals of the other pipeline too, which has no such stages.
    without_name = "SELECT pipeline FROM live.deals WHERE dealstage <> '' AND dealstage_name IS NULL"
    assert "default" not in [row["pipeline"] for row in warehouse.query(without_name)]

    for type_id, stream in STREAMS.items():
        archived = {record["id"]: record["archivedAt"] for record in sandbox.truth(type_id, state="archived")}
        merged = {record["id"]: record["survivorId"] for record in sandbox.truth(type_id, state="merged")}
        deleted = warehouse.query(f'SELECT * FROM hubspot."{stream}" WHERE _sdc_deleted_at IS NOT NULL')
        assert {row["id"]: row["merged_into_id"] for row in deleted if row["merged_into_id"]} == merged
        assert {row["id"] for row in deleted if row["archived"]} == archived.keys()
        assert len(deleted) == len(archived) + len(merged)
        assert all(row["hs_object_id"] == row["id"] for row in deleted)  # the last values stay
