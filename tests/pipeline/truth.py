"""The sandbox's own account of its portal, compared with the tables of a warehouse."""

from __future__ import annotations

from itertools import islice

import requests

from tests.pipeline.copy_check import association_rows, object_differences
from tests.pipeline.project import Project

STREAMS = {"0-1": "contacts", "0-421": "appointments", "0-3": "deals"}
EDGE = (
    "from_object_type",
    "from_id",
    "to_object_type",
    "to_id",
    "association_category",
    "association_type_id",
    "label",
)


def project_for(sandbox, warehouse, folder) -> Project:
    """Return a Meltano project that copies the sandbox's portal into the warehouse."""
    return Project(
        folder,
        TAP_HUBSPOT_DW_API_URL=sandbox.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=sandbox.token,
        TARGET_WAREHOUSE_WAREHOUSE=warehouse.url,
        TARGET_WAREHOUSE_VIEWS_SCHEMA="live",
    )


def type_ids(sandbox) -> dict[str, str]:
    """Return the streams by object type id, in the order in which the tap reads their associations."""
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    schemas = requests.get(f"{sandbox.url}/crm-object-schemas/2026-09/schemas", headers=headers, timeout=10).json()
    division = next(schema["objectTypeId"] for schema in schemas["results"] if schema["name"] == "division")
    return {division: "divisions", "0-421": "appointments", "0-3": "deals", "0-1": "contacts"}


def differences(sandbox, warehouse, *, but_deleted: bool = False) -> list[str]:
    """Return the first differences of every type between the portal's live objects and the tables' live rows.

    `but_deleted` leaves out the rows of records that were deleted for good, or merged into such a record, because only
    a full pass finds them.
    """
    sentences = []
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    for type_id, stream in type_ids(sandbox).items():
        reply = requests.get(f"{sandbox.url}/crm/properties/2026-09/{type_id}", headers=headers, timeout=10).json()
        types = {row["name"]: row["type"] for row in reply["results"]}
        rows = warehouse.query(f'SELECT * FROM hubspot."{stream}"')
        if but_deleted:
            deleted = {record["id"] for record in sandbox.truth(type_id, state="deleted")}
            merged = sandbox.truth(type_id, state="merged")
            deleted |= {record["id"] for record in merged if record["survivorId"] in deleted}
            rows = [row for row in rows if row["id"] not in deleted]
        first = islice(object_differences(sandbox.truth(type_id), rows, types), 5)
        sentences += [f"{stream}: {difference}" for difference in first]
    return sentences


def edges(sandbox) -> set[tuple[object, ...]]:
    """Return the rows that the table `associations` should have."""
    names = type_ids(sandbox)
    truth = (edge for edge in sandbox.truth_associations() if edge["fromType"] in names and edge["toType"] in names)
    return association_rows(truth, names, list(names))


def edge_rows(warehouse, source="hubspot.associations WHERE _sdc_deleted_at IS NULL") -> set[tuple[object, ...]]:
    """Return the live rows of the table `associations`, or the rows of another source."""
    rows = warehouse.query(f"SELECT * FROM {source}")
    return {tuple(row[column] for column in EDGE) for row in rows}
