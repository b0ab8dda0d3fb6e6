"""Tables to compare: rows with a column of each type, loaded into a schema."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from target_warehouse.singer.target import TargetWarehouse
from tests.target.properties import PROPERTIES

if TYPE_CHECKING:
    from conftest import Warehouse

SCHEMA = {name: schema for name, schema in PROPERTIES.items() if name != "must"}
ROWS = [
    {
        "id": i,
        "name": f"Zoë {i}",
        "amount": i * 1.25,
        "at": f"2026-01-01T00:00:{i:02}.123Z",
        "day": f"2026-02-{i + 1:02}",
        "is_on": i % 2 == 0,
        "extra": {"b": [i, None], "aa": {"x": "y"}},
    }
    for i in range(20)
]


def load(warehouse: Warehouse, schema_name: str, rows: list[dict[str, Any]], table: str = "t", **columns: Any) -> None:
    properties = {name: schema for name, schema in (SCHEMA | columns).items() if schema}
    lines = [{"type": "SCHEMA", "stream": table, "key_properties": ["id"], "schema": {"properties": properties}}]
    lines += [{"type": "RECORD", "stream": table, "record": row} for row in rows]
    target = TargetWarehouse(config={"warehouse": warehouse.url, "default_target_schema": schema_name})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
