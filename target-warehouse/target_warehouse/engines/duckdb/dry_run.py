"""A DuckDB warehouse for dry runs: it only reads the real file, and writes to a temporary file.

Each table that a stream needs is copied with all its columns, but only with the values that decide how a record is
written: keys, columns that are NOT NULL, the deletion mark and the version.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from target_warehouse.engines.duckdb.attach import CATALOG, attach
from target_warehouse.engines.duckdb.catalog import columns_of, constraints_of, tables_of
from target_warehouse.engines.duckdb.engine import DuckDBEngine
from target_warehouse.engines.prepared_table import column_names
from target_warehouse.engines.protocol import HISTORY, TableChange, shadow_columns
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from target_warehouse.tables.table import Table

_REAL = "target_warehouse_real"  # the name under which the file itself is attached


class DuckDBShadow(DuckDBEngine):
    """The engine on a temporary file; the warehouse's own file need not exist."""

    def __init__(self, path: str, lock_timeout_seconds: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warehouse-dry-run-")
        try:
            super().__init__(str(Path(self._folder.name) / "shadow.duckdb"), lock_timeout_seconds)
            self._has_file = Path(path).exists()
            if self._has_file:
                attach(self._file.connection, path, _REAL, lock_timeout_seconds, read_only=True)
        except BaseException:
            self._folder.cleanup()
            raise
        self._copied: dict[tuple[str | None, str], dict[str, str]] = {}

    def prepare(self, table: Table) -> Table:
        """Copy the table, if it exists, and prepare the copy."""
        name = fit_table(table.name, self.table_names(table.schema), most_bytes=None, ignores_case=True)
        if (table.schema, name) not in self._copied:
            with self._file.errors(f"the table {name} cannot be copied"):
                self._copied[table.schema, name] = self._copy(table, name)
        return super().prepare(table)

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema, including those that this run would create."""
        own = super().table_names(schema)
        real = tables_of(self._file.connection, _REAL, schema) if self._has_file else []
        return [*own, *(name for name in real if name not in own)]

    def planned_changes(self) -> list[TableChange]:
        """What the run would do to the tables that it prepared."""
        schemas = {
            schema
            for (schema, _) in self._copied
            if not (self._has_file and tables_of(self._file.connection, _REAL, schema))
        }
        return [
            TableChange(schema, name, before, self.column_types(schema, name), is_new_schema=schema in schemas)
            for (schema, name), before in self._copied.items()
        ]

    def tidy_up(self) -> None:
        """Do nothing: the file is temporary."""

    def close(self) -> None:
        """Close the warehouse and remove the temporary file."""
        super().close()
        self._folder.cleanup()

    def _copy(self, table: Table, name: str) -> dict[str, str]:
        schema = table.schema
        types = columns_of(self._file.connection, _REAL, schema, name) if self._has_file else {}
        if types:
            needed = {
                column
                for constraint, column in constraints_of(self._file.connection, _REAL, schema, name)
                if constraint in ("NOT NULL", "PRIMARY KEY")
            }
            fitted = column_names(table, types, most_bytes=None, ignores_case=True)
            is_history = name == HISTORY  # copied whole: it says which stream was loaded into which table
            kept = set(types) if is_history else shadow_columns(types, {*(fitted[key] for key in table.keys), *needed})
            columns = ", ".join(
                f"{quoted if column in kept else f'CAST(NULL AS {column_type})'} AS {quoted}"
                for column, column_type in types.items()
                for quoted in [identifier(column)]
            )
            quoted_name = identifier(schema or "main", name)
            if schema:
                self._file.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(CATALOG, schema)}")
            self._file.connection.execute(
                f"CREATE TABLE {CATALOG}.{quoted_name} AS SELECT {columns} FROM {_REAL}.{quoted_name}"  # noqa: S608
            )
            for column in needed:
                self._file.connection.execute(
                    f"ALTER TABLE {CATALOG}.{quoted_name} ALTER COLUMN {identifier(column)} SET NOT NULL"
                )
        return types
