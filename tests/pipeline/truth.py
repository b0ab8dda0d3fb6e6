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
    return Project(
        folder,
        TAP_HUBSPOT_DW_API_URL=sandbox.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=sandbox.token,
        TARGET_WAREHOUSE_WAREHOUSE=warehouse.url,
        TARGET_WAREHOUSE_VIEWS_SCHEMA="live",
    )


def type_ids(sandbox) -> dict[str, str]:
    """Return the streams by object type id, from the side that associations are read from to the other."""
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    schemas = requests.get(f"{sandbox.url}/crm-object-schemas/2026-09/schemas", headers=headers, timeout=10).json()
    division = next(each["objectTypeId"] for each in schemas["results"] if each["name"] == "division")
    return {division: "divisions", "0-421": "appointments", "0-3": "deals", "0-1": "contacts"}


def differences(sandbox, warehouse, *, but_deleted: bool = False) -> list[str]:
    """Return the first differences between the portal's live objects and the tables' live rows, of each type.

    `but_deleted` leaves out the rows of what was deleted for good, or merged into such a record: only a full pass
    shows that, see docs/limits.md.
    """
    found = []
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    for type_id, stream in type_ids(sandbox).items():
        reply = requests.get(f"{sandbox.url}/crm/properties/2026-09/{type_id}", headers=headers, timeout=10).json()
        types = {each["name"]: each["type"] for each in reply["results"]}
        rows = warehouse.query(f'SELECT * FROM hubspot."{stream}"')
        if but_deleted:
            deleted = {each["id"] for each in sandbox.truth(type_id, state="deleted")}
            merged = sandbox.truth(type_id, state="merged")
            deleted |= {each["id"] for each in merged if each["survivorId"] in deleted}
            rows = [row for row in rows if row["id"] not in deleted]
        found += [f"{stream}: {each}" for each in islice(object_differences(sandbox.truth(type_id), rows, types), 5)]
    return found


def edges(sandbox) -> set[tuple[object, ...]]:
    names = type_ids(sandbox)
    truth = (each for each in sandbox.truth_associations() if each["fromType"] in names and each["toType"] in names)
    return association_rows(truth, names, list(names))


def edge_rows(warehouse, source="hubspot.associations WHERE _sdc_deleted_at IS NULL") -> set[tuple[object, ...]]:
    rows = warehouse.query(f"SELECT * FROM {source}")
    return {tuple(row[column] for column in EDGE) for row in rows}
