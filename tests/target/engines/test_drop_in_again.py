"""A warehouse that moves from target-postgres to our target and back: versions, marks and metadata stay valid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from target_postgres.target import TargetPostgres

from target_warehouse.singer.target import TargetWarehouse
from tests.target.engines.target_postgres_runs import login, run

if TYPE_CHECKING:
    from singer_sdk.target_base import Target

PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "Name": {"type": ["string", "null"], "maxLength": 50},
    "amount": {"type": ["number", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "tags": {"type": ["array", "null"], "items": {"type": "string"}},
    "more": {"type": ["object", "null"]},
    "order": {"type": ["boolean", "null"]},
}


def _run(target: type[Target], url: str, schema: str, ids: list[int], version: int, **config: Any) -> None:
    """A run that sends these records with this version, and activates it."""
    lines: list[dict[str, Any]] = [
        {"type": "SCHEMA", "stream": "crm-Things", "key_properties": ["id"], "schema": {"properties": PROPERTIES}}
    ]
    for key in ids:
        record = {
            "id": key,
            "Name": f"{key} of {version}",
            "amount": key + 0.25,
            "at": f"2026-01-0{version}T00:00:00+02:00",
            "tags": ["a", f"{key}"],
            "more": {"k": [key]},
            "order": key % 2 == 0,
        }
        more = {"version": version, "time_extracted": f"2026-02-0{version}T00:00:00Z"}
        lines.append({"type": "RECORD", "stream": "crm-Things", "record": record, **more})
    lines.append({"type": "ACTIVATE_VERSION", "stream": "crm-Things", "version": version})
    run(target(config=login(url, schema) | config), "".join(json.dumps(line) + "\n" for line in lines))


def _table(url: str, schema: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Columns with their types, keys, and rows with the values that do not depend on the time of the test."""
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            [f'"{schema}"."Things"'],
        ).fetchall()
        keys = connection.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass", [f'"{schema}"."Things"']
        ).fetchall()
        names = ", ".join(f'"{name}"' for name in PROPERTIES)
        rows = connection.execute(
            f"SELECT {names}, _sdc_extracted_at, _sdc_table_version, _sdc_deleted_at IS NULL,"
            " _sdc_received_at > now() AT TIME ZONE 'UTC' - interval '1 hour',"
            " _sdc_batched_at > now() AT TIME ZONE 'UTC' - interval '1 hour',"
            " _sdc_sequence > extract(epoch FROM now() - interval '1 hour') * 1000, _sdc_sync_started_at IS NULL"
            f' FROM "{schema}"."Things" ORDER BY id'
        ).fetchall()
    return columns, [definition.replace(schema, "s") for (definition,) in keys], rows


#: The targets of the first, second and third run.
ORDERS = {
    "ours after theirs": (TargetPostgres, TargetWarehouse, TargetWarehouse),
    "and back": (TargetPostgres, TargetWarehouse, TargetPostgres),
    "ours alone": (TargetWarehouse, TargetWarehouse, TargetWarehouse),
}


@pytest.mark.parametrize("hard_delete", [False, True], ids=["soft", "hard"])
def test_the_table_is_the_same_after_every_run_whichever_target_loads_it(hard_delete: bool, postgres_url: str) -> None:
    """Rows leave, come back and are marked; target-postgres alone, in a schema of its own, shows the expected table."""
    runs = [([1, 2, 3, 4], 1), ([1, 2, 5], 2), ([2, 3, 6], 3)]
    expected = []
    for ids, version in runs:
        _run(TargetPostgres, postgres_url, "theirs", ids, version, hard_delete=hard_delete)
        expected.append(_table(postgres_url, "theirs"))
    for number, (order, targets) in enumerate(ORDERS.items()):
        schema = f"schema{number}"
        for target, (ids, version), table in zip(targets, runs, expected, strict=True):
            _run(target, postgres_url, schema, ids, version, hard_delete=hard_delete)
            assert _table(postgres_url, schema) == table, f"{order}, version {version}"
