"""What a dry run must leave alone, and what it announces, as the real run after it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tests.conftest import DuckDBWarehouse

if TYPE_CHECKING:
    import pytest
    from conftest import Warehouse

_COLUMNS = (
    "SELECT table_schema AS s, table_name AS t, column_name AS c, data_type AS k FROM information_schema.columns "
    "WHERE table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY s, t, ordinal_position"
)
#: Columns and their types, by schema and table.
Columns: TypeAlias = dict[tuple[str, str], dict[str, str]]
_OURS = ("_load_history", "_rejected_records")


def columns(warehouse: Warehouse) -> Columns:
    """Every table's columns and their types."""
    if isinstance(warehouse, DuckDBWarehouse) and not warehouse.path.exists():
        return {}
    found: Columns = {}
    for row in warehouse.query(_COLUMNS):
        found.setdefault((row["s"], row["t"]), {})[row["c"]] = row["k"]
    return found


def everything_in(warehouse: Warehouse) -> object:
    """The whole warehouse: the files of DuckDB, or every row and the schemas of PostgreSQL."""
    if isinstance(warehouse, DuckDBWarehouse):
        return {path.name: path.read_bytes() for path in warehouse.path.parent.glob("*.duckdb*")}
    tables = columns(warehouse)
    rows = {f"{s}.{t}": warehouse.query(f'SELECT * FROM "{s}"."{t}" AS r ORDER BY r::text') for s, t in tables}
    return tables, rows, warehouse.query("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' ORDER BY 1")


def announced(caplog: pytest.LogCaptureFixture) -> list[str]:
    text = next(each.getMessage() for each in caplog.records if each.getMessage().startswith("Dry run"))
    caplog.clear()
    return text.splitlines()[1:]


def stream_lines(warehouse: Warehouse, schema: str) -> list[str]:
    """The counts of the last run for each stream, in the words of a dry run's report."""
    run = f'SELECT * FROM "{schema}"."_load_history" ORDER BY started_at'
    history = warehouse.query(run)
    return [
        f"{row['stream']}: {row['rows_read']:,} records read; {row['inserted']:,} rows created, {row['updated']:,} "
        f"updated, {row['deleted']:,} deleted, {row['rejected']:,} records rejected."
        for row in history
        if row["run_id"] == history[-1]["run_id"]
    ]


def check_announced(announced_lines: list[str], warehouse: Warehouse, schema: str, tables: Columns) -> None:
    """Check the lines of a dry run against what the real run did to the tables, which had these columns before."""
    made = columns(warehouse)
    done = stream_lines(warehouse, schema) if (schema, "_load_history") in made else []
    assert [line for line in announced_lines if line.endswith("records rejected.")] == done
    for (where, name), after in made.items():
        if name in _OURS:
            continue
        then = tables.get((where, name), {})
        line = next((each for each in announced_lines if each.startswith(f"The table {where}.{name} would")), "")
        assert f"would {'get' if then else 'be created with'} {len(after.keys() - then):,} columns" in line or (
            after.keys() == then.keys() and not line
        )
        changed = sum(then[column] != after[column] for column in then)
        assert bool(changed) == any(
            f"In the table {where}.{name} the type of {changed:,} " in each for each in announced_lines
        )
