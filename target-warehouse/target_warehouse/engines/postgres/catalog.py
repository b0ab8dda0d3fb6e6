"""What PostgreSQL's catalog says about a table."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy

from target_warehouse.engines.postgres.types import is_exact, is_ours
from target_warehouse.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import adbc_driver_postgresql.dbapi

logger = logging.getLogger("target-warehouse")

NAME_BYTES = 63  # PostgreSQL's NAMEDATALEN - 1: it truncates a longer name silently
#: The table that a condition chooses, and what can leave out, redirect or add writes.
_DEPENDENTS = """
WITH RECURSIVE c AS MATERIALIZED (
  SELECT oid, relnatts, relkind, relhassubclass, row_security_active(oid) AS has_row_security FROM pg_class WHERE {}
), tree AS (
  SELECT oid FROM c UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
), facts AS MATERIALIZED (
  SELECT
    EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid IN (SELECT oid FROM tree) AND NOT g.tgisinternal)
      OR EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid IN (SELECT oid FROM c))
      OR EXISTS (SELECT 1 FROM c WHERE has_row_security) AS has_dependents,
    EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid IN (SELECT oid FROM tree) AND g.tgtype & 3 = 3)
      OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class IN (SELECT oid FROM c))
      OR EXISTS (SELECT 1 FROM c WHERE has_row_security) AS may_suppress,
    EXISTS (SELECT 1 FROM c WHERE relkind = 'r' AND relhassubclass) AS has_children
)
"""
_COLUMNS = """
SELECT CAST(a.attname AS text) AS name, format_type(a.atttypid, a.atttypmod) AS type,
  EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key,
  facts.has_dependents, facts.may_suppress, facts.has_children, c.has_row_security,
  c.relnatts AS used, format_type(b.type, b.modifier) AS base, format_type(b.type, -1) AS input,
  b.is_enum,
  a.attgenerated <> '' AS is_computed, a.attidentity = 'a' AS is_numbered, k.own_collation, k.is_loose
FROM c CROSS JOIN facts JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL (
  WITH RECURSIVE step AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS modifier FROM pg_type t WHERE t.oid = a.atttypid
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, step.typtypmod
    FROM step JOIN pg_type t ON t.oid = step.typbasetype WHERE step.typtype = 'd'
  ) SELECT oid AS type, modifier, typtype = 'e' AS is_enum FROM step WHERE typtype <> 'd'
) b LEFT JOIN LATERAL (
  SELECT CASE WHEN k.oid <> t.typcollation OR (t.typtype = 'd' AND k.collname <> 'default')
    THEN quote_ident(n.nspname) || '.' || quote_ident(k.collname) END
    AS own_collation, to_jsonb(k) ->> 'collisdeterministic' = 'false' AS is_loose
  FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace JOIN pg_type t ON t.oid = a.atttypid
  WHERE k.oid = a.attcollation
) k ON true
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
#: A number that another session changes by whatever it does to the columns, the key and the dependents of a table.
_SIGNATURE = """
SELECT hashtextextended(concat((SELECT f FROM facts f), c.has_row_security,
  (SELECT i.indkey FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
  (SELECT string_agg(CAST((a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attgenerated, a.attidentity) AS text),
     ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
), 0) FROM c
"""


class ExistingTable:
    """A table as the database has it: column types, primary key, and whether triggers, policies or foreign keys exist.

    `may_suppress`: a trigger, a rule or row level security can leave out writes without an error.

    `used` counts all columns that the table ever had, because PostgreSQL counts dropped ones too. `has_only_new_keys`
    says that the table was empty and no batch of this run has had an existing key; it is None until the first batch.
    `bases` are the types with domains resolved, `inputs` the same without lengths and precisions, for casts from text.
    `computed` are generated columns, `numbered` identity columns that are GENERATED ALWAYS. `collations` are those that
    differ from the default of the column's base type, and `loose` the columns in which differently written texts may
    be equal. `has_children`: other tables inherit from this one. `has_row_security`: it applies to the target's role.
    `signature` is None until the first batch, which reads the table again.
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        self.types: dict[str, str] = {row.name: row.type for row in rows}
        self.key = frozenset(row.name for row in rows if row.is_key)
        self.bases: dict[str, str] = {row.name: row.base for row in rows}
        self.inputs: dict[str, str] = {row.name: row.input for row in rows}
        self.computed = frozenset(row.name for row in rows if row.is_computed)
        self.numbered = frozenset(row.name for row in rows if row.is_numbered)
        self.collations: dict[str, str] = {row.name: row.own_collation for row in rows if row.own_collation}
        self.loose = frozenset(row.name for row in rows if row.is_loose or not (row.is_enum or is_exact(row.base)))
        first = rows[0] if rows else None
        self.used: int = first.used if first else 0
        self.has_dependents = bool(first and first.has_dependents)
        self.may_suppress = bool(first and first.may_suppress)
        self.has_children = bool(first and first.has_children)
        self.has_row_security = bool(first and first.has_row_security)
        self.has_only_new_keys: bool | None = None
        self.signature: int | None = None

    def taken_as(self, column: str) -> str:
        """The type in which values of a column are sent: its own if it is ours, else text, which the server casts."""
        column_type = self.types[column]
        return column_type if column_type == self.bases[column] and is_ours(column_type) else "text"


def existing_table(connection: sqlalchemy.Connection, schema: str | None, name: str) -> ExistingTable:
    """The table as the database has it; without types if there is no such table."""
    chosen = """relname = :name AND relkind IN ('r', 'p') AND relnamespace =
      (SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema()))"""
    sql = sqlalchemy.text(_DEPENDENTS.format(chosen) + _COLUMNS)
    return ExistingTable(connection.execute(sql, {"name": name, "schema": schema}).all())


def read_again(cursor: adbc_driver_postgresql.dbapi.Cursor, name: str, existing: ExistingTable) -> ExistingTable:
    """The table with this quoted name as it is now; `existing` if nobody has changed it since.

    Raises:
        LoadError: a column has another type now, or is gone. Values were converted for the type that it had.
    """
    literal = name.replace("'", "''")
    chosen = _DEPENDENTS.format(f"oid = CAST('{literal}' AS regclass)")
    cursor.execute(chosen + _SIGNATURE)
    (signature,) = cursor.fetchone() or (None,)
    if signature == existing.signature:
        return existing
    cursor.execute(chosen + _COLUMNS)
    names = [column[0] for column in cursor.description]
    now = ExistingTable([SimpleNamespace(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()])
    for column, column_type in existing.types.items():
        if (type_now := now.types.get(column)) != column_type:
            msg = (
                f"Another session changed the column {column} of the table {name} during the run: it was of type "
                f"{column_type}, and {f'is of type {type_now}' if type_now else 'is gone'} now. Nothing of this batch "
                "was kept: run again."
            )
            raise LoadError(msg)
    now.signature = signature
    if now.key == existing.key:
        now.has_only_new_keys = existing.has_only_new_keys
    return now


def warn_of_hidden_rows(name: str) -> None:
    """Warn that row level security applies to the role of the target."""
    logger.warning(
        "Table %s: row level security applies to the role of the target, so rows that it hides are neither updated "
        "nor deleted. Let the policies show the role every row, or give it BYPASSRLS.",
        name,
    )


def finds_in(connection: sqlalchemy.Connection) -> Callable[[str], bool]:
    """A function that says whether a SELECT returns a row."""
    return lambda sql: connection.exec_driver_sql(sql.replace("%", "%%"), ()).first() is not None
