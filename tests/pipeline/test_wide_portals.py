"""Portals with more properties than fit into a URL or a PostgreSQL table: no column is lost."""

from __future__ import annotations

import json

import pytest
import requests

from tests.pipeline.copy_check import object_differences, typed
from tests.pipeline.pair import Pair

SIZES = {"contacts": 120, "appointments": 1, "divisions": 1, "deals": 1, "associations": 1, "tier": "unlimited"}


def unfolded(row, types):
    """Return a row with the properties of the overflow column under their own names."""
    kept = row.pop("_sdc_overflow", None)
    if kept is None:
        return row
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in kept.items()}
    return row | {name: typed(types[name], texts[name]) if name in texts else None for name in types.keys() - row}


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(1_200, marks=pytest.mark.sandbox(**SIZES, contact_properties=1_200)),
        pytest.param(3_000, marks=pytest.mark.sandbox(**SIZES, contact_properties=3_000)),
    ],
)
def test_every_property_of_a_wide_portal_arrives(sandbox, warehouse, tmp_path, properties):
    """Except rows that are too long for PostgreSQL: they are rejected with the advice to use one JSON column."""
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    reply = requests.get(f"{sandbox.url}/crm/properties/2026-09/0-1", headers=headers, timeout=10).json()
    types = {row["name"]: row["type"] for row in reply["results"]} | {"hs_object_id": "string"}
    assert len(types) == properties
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False)
    codes = pair.run()
    log = (tmp_path / "log").read_text()
    too_long = set()
    if warehouse.engine == "postgres":
        rejected = warehouse.query("SELECT * FROM hubspot._rejected_records")
        assert all("let it put them into one JSON column" in row["reason"] for row in rejected)
        too_long = {json.loads(row["record"])["id"] for row in rejected}
    assert codes == (0, 1 if too_long else 0), log[-3000:]
    assert len(too_long) < 60
    rows = [unfolded(row, types) for row in warehouse.query("SELECT * FROM hubspot.contacts")]
    loadable = [record for record in sandbox.truth("0-1") if record["id"] not in too_long]
    assert list(object_differences(loadable, rows, types)) == []
    assert ("_sdc_overflow" in log) is (warehouse.engine == "postgres")


@pytest.mark.sandbox(**SIZES, contact_properties=3_000)
def test_a_wide_portal_fits_into_one_column(sandbox, warehouse, tmp_path):
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False, properties_as_json=True)
    assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]
    rows = warehouse.query("SELECT id, properties FROM hubspot.contacts")
    assert {row["id"]: row["properties"] for row in rows} == {
        record["id"]: record["properties"] for record in sandbox.truth("0-1")
    }
