"""Tables in PostgreSQL: created as target-postgres creates them, extended, widened, and read from the catalog.

Properties beyond PostgreSQL's limits share one JSONB column (`overflow`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy

from target_warehouse.engines.changed_keys import check_as_texts, check_spellings, has_another_key, may_be_null
from target_warehouse.engines.postgres.overflow import with_overflow
from target_warehouse.engines.postgres.types import LOOSE, is_ours, is_text, plain, wider, without_places
from target_warehouse.engines.postgres.views import out_of_the_way
from target_warehouse.engines.prepared_table import check_schema, named, report_wider
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import column_list, identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_postgres.connector import PostgresConnector

    from target_warehouse.engines.postgres.encoding import Encoding
    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

NAME_BYTES = 63  # PostgreSQL's NAMEDATALEN - 1: it truncates a longer name silently
#: From this many columns on, rows of up to a page are stored inline. By default PostgreSQL moves or compresses dozens
#: of small values of every row above 2 kB, which made loading 250 columns three times slower.
_WIDE_TABLE_COLUMNS = 50
_WIDE_TABLE_TOAST = 8160


_COLUMNS = sqlalchemy.text("""
WITH RECURSIVE c AS MATERIALIZED (
  SELECT oid, relnatts, relkind, relhassubclass, row_security_active(oid) AS has_row_security FROM pg_class
  WHERE relname = :name AND relkind IN ('r', 'p')
  AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema()))
), tree AS (
  SELECT oid FROM c UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
), facts AS MATERIALIZED (
  SELECT
    EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid IN (SELECT oid FROM tree) AND NOT g.tgisinternal)
      OR EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid IN (SELECT oid FROM c))
      OR EXISTS (SELECT 1 FROM c WHERE has_row_security) AS has_dependents,
    EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid IN (SELECT oid FROM tree) AND g.tgtype & 3 = 3)
      OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class IN (SELECT oid FROM c))
      OR EXISTS (SELECT 1 FROM c WHERE has_row_security) AS may_suppress
)
SELECT CAST(a.attname AS text) AS name, format_type(a.atttypid, a.atttypmod) AS type,
  EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key,
  facts.has_dependents, facts.may_suppress, c.has_row_security,
  c.relkind = 'r' AND c.relhassubclass AS has_children,
  c.relnatts AS used, format_type(b.type, b.modifier) AS base, format_type(b.type, -1) AS input,
  a.attgenerated <> '' AS is_computed, a.attidentity = 'a' AS is_numbered
FROM c CROSS JOIN facts JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL (
  WITH RECURSIVE step AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS modifier FROM pg_type t WHERE t.oid = a.atttypid
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, step.typtypmod
    FROM step JOIN pg_type t ON t.oid = step.typbasetype WHERE step.typtype = 'd'
  ) SELECT oid AS type, modifier FROM step WHERE typtype <> 'd'
) b
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
""")


class Existing:
    """A table as the database has it: column types, primary key, and whether triggers, policies or foreign keys exist.

    `may_suppress`: a trigger, a rule or row level security can leave out writes without an error.

    `used` counts all columns that the table ever had, because PostgreSQL counts dropped ones too. `has_only_new_keys`
    says that no batch of this run has had an existing key so far; it is None until the first batch. `bases` are the
    types with domains resolved, `inputs` the same without lengths and precisions, for casts from text. `computed` are
    generated columns, `numbered` identity columns that are GENERATED ALWAYS.
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        self.types: dict[str, str] = {row.name: row.type for row in rows}
        self.key = frozenset(row.name for row in rows if row.is_key)
        self.bases: dict[str, str] = {row.name: row.base for row in rows}
        self.inputs: dict[str, str] = {row.name: row.input for row in rows}
        self.computed = frozenset(row.name for row in rows if row.is_computed)
        self.numbered = frozenset(row.name for row in rows if row.is_numbered)
        first = rows[0] if rows else None
        self.used: int = first.used if first else 0
        self.has_dependents = bool(first and first.has_dependents)
        self.may_suppress = bool(first and first.may_suppress)
        self.has_children = bool(first and first.has_children)
        self.has_row_security = bool(first and first.has_row_security)
        self.has_only_new_keys: bool | None = None

    def taken_as(self, column: str) -> str:
        """The type in which values of a column are sent: its own if it is ours, else text, which the server casts."""
        column_type = self.types[column]
        return column_type if column_type == self.bases[column] and is_ours(column_type) else "text"


def existing_table(connection: sqlalchemy.Connection, schema: str | None, name: str) -> Existing:
    """The table as the database has it; without types if there is no such table."""
    return Existing(connection.execute(_COLUMNS, {"name": name, "schema": schema}).all())


def prepare(
    table: Table, connector: PostgresConnector, connection: sqlalchemy.Connection, encoding: Encoding
) -> tuple[Table, Existing]:
    """Create the table, or add missing columns and widen narrow ones; returns it with its names, and as it exists."""
    unusable = encoding.unusable_names(connection, _names(table))
    check_schema(table, NAME_BYTES, unusable)
    limits: dict[str, Any] = {"most_bytes": NAME_BYTES, "ignores_case": False, "unusable": unusable}
    existing = existing_table(connection, table.schema, fit_table(table.name, (), **limits))
    reserved = encoding.system_columns | _not_written(existing, table.keys)
    writable = {name: column_type for name, column_type in existing.types.items() if name not in reserved}
    table = named(table, (), lambda *_: writable, reserved=reserved, **limits)
    dialect = connection.dialect
    wanted = {
        column.name: _full_name(connector.to_sql_type(dict(column.schema)).compile(dialect)) for column in table.columns
    }
    table = with_overflow(table, wanted, existing.types, existing.used)
    if not existing.types:
        _create(table, connector, connection)
        return table, existing_table(connection, table.schema, table.name)
    is_rekeyed = has_another_key(
        table,
        identifier(table.schema, table.name),
        existing.types,
        existing.key or unique_columns(connection, table),
        _finds_in(connection),
    )
    where = identifier(table.schema, table.name)
    check_spellings(table, where, existing.bases, _finds_in(connection), "CAST({text} AS text) ~ {pattern}")
    is_rekeyed = is_rekeyed and bool(existing.key) and not _is_generated_key(connection, table, existing.key)
    if is_rekeyed:
        _forget_key(table, connection, existing.key)
    wanted[OVERFLOW] = "jsonb"
    for column in table.columns:
        if column.name not in existing.types:
            _alter(table, connection, f"ADD COLUMN {identifier(column.name)} {wanted[column.name]}")
        else:
            widen(table, column.name, existing, wanted[column.name], connection)
    if is_rekeyed and table.keys:
        _alter(table, connection, f"ADD PRIMARY KEY ({column_list(table.key_names)})")
    _report_loose_keys(table, existing)
    if existing.has_row_security:
        logger.warning(
            "Table %s: row level security applies to the role of the target, so rows that it hides are neither updated "
            "nor deleted. Let the policies show the role every row, or give it BYPASSRLS.",
            table.name,
        )
    return table, existing_table(connection, table.schema, table.name)


def _finds_in(connection: sqlalchemy.Connection) -> Callable[[str], bool]:
    """A function that says whether a SELECT returns a row."""
    return lambda sql: connection.exec_driver_sql(sql.replace("%", "%%"), ()).first() is not None


def unique_columns(connection: sqlalchemy.Connection, table: Table) -> frozenset[str]:
    """The stream's key columns if a unique index has exactly them and all are NOT NULL, else none."""
    index = connection.execute(
        sqlalchemy.text(
            "SELECT 1 FROM pg_index i WHERE i.indrelid = CAST(:name AS regclass) AND i.indisunique AND i.indisvalid"
            " AND i.indpred IS NULL AND i.indexprs IS NULL AND (SELECT count(*) = cardinality(CAST(:keys AS text[]))"
            "   AND bool_and(a.attnotnull AND CAST(a.attname AS text) = ANY (CAST(:keys AS text[])))"
            "   FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))"
        ),
        {"name": identifier(table.schema, table.name), "keys": table.key_names},
    ).first()
    return frozenset(table.key_names) if index and table.keys else frozenset()


def _is_generated_key(connection: sqlalchemy.Connection, table: Table, key: frozenset[str]) -> bool:
    """Whether the database, and not the stream, provides the values of a column of the key."""
    columns = sorted(key - {column.name for column in table.columns})
    return bool(
        connection.execute(
            sqlalchemy.text(
                "SELECT 1 FROM pg_attribute WHERE attrelid = CAST(:name AS regclass)"
                " AND CAST(attname AS text) = ANY (CAST(:columns AS text[])) AND (atthasdef OR attidentity <> '')"
            ),
            {"name": identifier(table.schema, table.name), "columns": columns},
        ).first()
    )


def _forget_key(table: Table, connection: sqlalchemy.Connection, key: frozenset[str]) -> None:
    """Drop the primary key, and NOT NULL of its columns that may be null in the stream."""
    constraint = connection.execute(
        sqlalchemy.text("SELECT conname FROM pg_constraint WHERE conrelid = CAST(:name AS regclass) AND contype = 'p'"),
        {"name": identifier(table.schema, table.name)},
    ).scalar_one()
    _alter(table, connection, f"DROP CONSTRAINT {identifier(constraint)}")
    for column in may_be_null(table, key):
        _alter(table, connection, f"ALTER COLUMN {identifier(column)} DROP NOT NULL")


def _report_loose_keys(table: Table, existing: Existing) -> None:
    for key in table.key_names:
        if plain(existing.bases.get(key, "")) in LOOSE:
            logger.warning(
                "The key %s of the table %s is of type %s: keys that PostgreSQL considers equal share one row, and the "
                "last record wins.",
                key,
                table.name,
                existing.types[key],
            )


def _not_written(existing: Existing, keys: Iterable[str]) -> frozenset[str]:
    """The columns that only the database writes; an identity column that is a key takes the stream's values."""
    names = {key.casefold() for key in keys}
    return existing.computed | {name for name in existing.numbered if name.casefold() not in names}


def _names(table: Table) -> list[str]:
    names = (table.schema, table.name, *(column.property for column in table.columns))
    return [name for name in names if name is not None]


def widen(
    table: Table,
    column: str,
    existing: Existing,
    wanted: str | None,
    connection: sqlalchemy.Connection,
    *,
    is_needed: bool = False,
) -> None:
    """Widen a column in place to hold the type `wanted` too; do nothing if it already does.

    Without `wanted`, the column is widened to keep every digit of a second. A UUID column changes only if `is_needed`:
    a value came that it does not hold.

    Raises:
        LoadError: the column is a key, and its existing rows would not match the stream's keys any more.
    """
    stored, base = existing.types[column], existing.bases[column]
    new = wider(stored, base, wanted) if wanted else without_places(stored)
    if is_needed and wanted and stored == "uuid":
        new = wanted
    if new == stored:
        return
    name, where = identifier(column), identifier(table.schema, table.name)
    if is_text(new):
        check_as_texts(table, where, column, (stored, base), _converted(name, base, new), _finds_in(connection))
    report_wider(table, column, stored, new)
    with out_of_the_way(connection, table.schema, table.name, column):
        _alter(table, connection, f"ALTER COLUMN {name} TYPE {new} USING {_converted(name, base, new)}")


def _converted(name: str, base: str, new: str) -> str:
    """The expression that converts a column of the type `base` to a new type exactly."""
    if base.endswith("[]") and not new.endswith("[]"):
        return f"CAST(to_jsonb({name}) AS {new})"
    text = f"CAST({name} AS text)"
    if is_text(new):
        return f"CAST({_as_text(name, base)} AS {new})"
    if base in ("real", "double precision"):
        return f"CAST({text} AS {new})"  # a direct cast rounds to 15 digits
    return f"CAST({name} AS {new})"


def _as_text(name: str, base: str) -> str:
    """The expression that converts a column to the text that the target writes."""
    text, base = f"CAST({name} AS text)", plain(base)
    if base in ("json", "jsonb"):  # strings without their quotes, and equal numbers as equal texts
        number = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        cases = f"WHEN 'string' THEN {name} #>> '{{}}' WHEN 'number' THEN {number}"
        return f"CASE {base}_typeof({name}) {cases} ELSE {text} END"
    if base in ("numeric", "money"):
        return f"CAST(trim_scale(CAST({name} AS numeric)) AS text)"
    if base in ("real", "double precision"):
        digits = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        return f"CASE WHEN {text} IN ('NaN', 'Infinity', '-Infinity') THEN {text} ELSE {digits} END"
    if base == "timestamp with time zone":
        return f"CAST({name} AT TIME ZONE 'UTC' AS text)"
    if base == "time with time zone":
        return f"regexp_replace({text}, '[+]00$', '')"
    return f"encode({name}, 'hex')" if base == "bytea" else text


def _create(table: Table, connector: PostgresConnector, connection: sqlalchemy.Connection) -> None:
    if table.schema:
        names: Iterable[str] = connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars().all()
        if table.schema not in names:
            connection.execute(sqlalchemy.schema.CreateSchema(table.schema))
    connector.create_empty_table(
        table_name=table.name,
        meta=sqlalchemy.MetaData(schema=table.schema),
        schema={"properties": {column.name: dict(column.schema) for column in table.columns}},
        connection=connection,
        primary_keys=table.key_names,
    )
    if len(table.columns) >= _WIDE_TABLE_COLUMNS:
        _alter(table, connection, f"SET (toast_tuple_target = {_WIDE_TABLE_TOAST})")


def _alter(table: Table, connection: sqlalchemy.Connection, change: str) -> None:
    statement = f"ALTER TABLE {identifier(table.schema, table.name)} {change}"
    connection.exec_driver_sql(statement.replace("%", "%%"), ())


def _full_name(sql_type: str) -> str:
    """SQLAlchemy's name of a type as PostgreSQL's format_type writes it."""
    return sql_type.lower().replace("decimal", "numeric").replace("varchar", "character varying").replace(", ", ",")
