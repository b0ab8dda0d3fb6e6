"""Tables in PostgreSQL: made as target-postgres makes them, extended, widened, and looked up in the catalog.

PostgreSQL takes 1,600 columns, and rows whose values besides long texts fit a page of 8 kB. Properties beyond either
limit have no column of their own: they are together in one JSONB column, by name.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy

from target_warehouse.engines.changed_keys import check_as_texts, check_spellings, has_another_key, may_be_null
from target_warehouse.engines.postgres.types import LOOSE, is_ours, is_text, plain, wider, without_places
from target_warehouse.engines.postgres.views import out_of_the_way
from target_warehouse.engines.prepared_table import check_schema, named, report_wider
from target_warehouse.tables.fitted_names import fit
from target_warehouse.tables.statements import column_list, identifier
from target_warehouse.tables.table import OVERFLOW, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from target_postgres.connector import PostgresConnector

    from target_warehouse.engines.postgres.encoding import Encoding
    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

NAME_BYTES = 63  # PostgreSQL's NAMEDATALEN - 1: a longer name would be cut silently
_MOST_COLUMNS = 1_600
#: A page of 8,192 bytes, less its header, a row's header and a bit for each of 1,600 columns.
_ROW_BYTES = 7_900
#: Bytes in the row; integers travel as 8, numbers of 20 digits and UUIDs as text.
_WIDTHS = {"smallint": 8, "integer": 8, "bigint": 8, "numeric": 22, "date": 4, "boolean": 1, "uuid": 37}
_TIME_BYTES, _TEXT_BYTES = 8, 2  # a long text may leave the row; what stays is counted as if short
#: From this many columns on, rows are kept in line up to a page: by default PostgreSQL moves or compresses dozens
#: of small values of every row above 2 kB, which made loading 250 columns three times slower.
_WIDE_TABLE_COLUMNS = 50
_WIDE_TABLE_TOAST = 8160
_OVERFLOW_SCHEMA = {"type": ["object", "null"]}


_COLUMNS = sqlalchemy.text("""
SELECT CAST(a.attname AS text) AS name, format_type(a.atttypid, a.atttypmod) AS type,
  EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key,
  EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
    OR EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid = c.oid) AS has_dependents,
  c.relnatts AS used, format_type(b.type, b.modifier) AS base, format_type(b.type, -1) AS input,
  a.attgenerated <> '' AS is_computed, a.attidentity = 'a' AS is_numbered
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL (
  WITH RECURSIVE step AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS modifier FROM pg_type t WHERE t.oid = a.atttypid
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, step.typtypmod
    FROM step JOIN pg_type t ON t.oid = step.typbasetype WHERE step.typtype = 'd'
  ) SELECT oid AS type, modifier FROM step WHERE typtype <> 'd'
) b
WHERE c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
  AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema()))
ORDER BY a.attnum
""")


class Existing:
    """What is known of a table in the database: column types, primary key, and whether anything hangs on it.

    `used` counts columns that were ever there: PostgreSQL counts dropped ones, too. `has_only_new_keys` says that so
    far no batch of this run had a key that was there before it, and is None until the first batch. `bases` are the
    types with domains resolved, `inputs` those without what is in brackets, as a text is read by them. `computed` are
    columns that only the database writes, `numbered` those that it numbers by itself unless it is overridden.
    """

    def __init__(self, rows: Sequence[Any], *, used: int, has_dependents: bool) -> None:
        self.types: dict[str, str] = {row.name: row.type for row in rows}
        self.key = frozenset(row.name for row in rows if row.is_key)
        self.bases: dict[str, str] = {row.name: row.base for row in rows}
        self.inputs: dict[str, str] = {row.name: row.input for row in rows}
        self.computed = frozenset(row.name for row in rows if row.is_computed)
        self.numbered = frozenset(row.name for row in rows if row.is_numbered)
        self.used = used
        self.has_dependents = has_dependents
        self.has_only_new_keys: bool | None = None

    def taken_as(self, column: str) -> str:
        """The type by which values of a column are made: its own, or text, which every other type is read from."""
        kind = self.types[column]
        return kind if kind == self.bases[column] and is_ours(kind) else "text"


def existing_table(connection: sqlalchemy.Connection, schema: str | None, name: str) -> Existing:
    """The table as it is; no types when there is none."""
    rows = connection.execute(_COLUMNS, {"name": name, "schema": schema}).all()
    return Existing(rows, used=rows[0].used if rows else 0, has_dependents=any(row.has_dependents for row in rows))


def prepare(
    table: Table, connector: PostgresConnector, connection: sqlalchemy.Connection, encoding: Encoding
) -> tuple[Table, Existing]:
    """Create the table, add its missing columns, widen its narrow ones; gives it with its names, and what is there."""
    unusable = encoding.unusable_names(connection, _names(table))
    check_schema(table, NAME_BYTES, unusable)
    limits: dict[str, Any] = {"most_bytes": NAME_BYTES, "ignores_case": False, "unusable": unusable}
    found = existing_table(connection, table.schema, fit([table.name], (), **limits)[table.name])
    reserved = encoding.system_columns | _not_written(found, table.keys)
    open_to_us = {name: kind for name, kind in found.types.items() if name not in reserved}
    table = named(table, (), lambda *_: open_to_us, reserved=reserved, **limits)
    dialect = connection.dialect
    wanted = {
        column.name: _full_name(connector.to_sql_type(dict(column.schema)).compile(dialect)) for column in table.columns
    }
    table = _with_overflow(table, wanted, found)
    if not found.types:
        _create(table, connector, connection)
        return table, existing_table(connection, table.schema, table.name)
    is_rekeyed = has_another_key(
        table,
        identifier(table.schema, table.name),
        found.types,
        found.key or unique_columns(connection, table),
        _finds_in(connection),
    )
    where = identifier(table.schema, table.name)
    check_spellings(table, where, found.bases, _finds_in(connection), "CAST({text} AS text) ~ {pattern}")
    is_rekeyed = is_rekeyed and bool(found.key) and not _is_made_there(connection, table, found.key)
    if is_rekeyed:
        _forget_key(table, connection, found.key)
    wanted[OVERFLOW] = "jsonb"
    for column in table.columns:
        if column.name not in found.types:
            _alter(table, connection, f"ADD COLUMN {identifier(column.name)} {wanted[column.name]}")
        else:
            widen(table, column.name, found, wanted[column.name], connection)
    if is_rekeyed and table.keys:
        _alter(table, connection, f"ADD PRIMARY KEY ({column_list(table.key_names)})")
    _report_loose_keys(table, found)
    return table, existing_table(connection, table.schema, table.name)


def _finds_in(connection: sqlalchemy.Connection) -> Callable[[str], bool]:
    """What says whether a SELECT has a row."""
    return lambda sql: connection.exec_driver_sql(sql.replace("%", "%%"), ()).first() is not None


def unique_columns(connection: sqlalchemy.Connection, table: Table) -> frozenset[str]:
    """The stream's keys if an index other than that of a primary key keeps them unique and none is null, else none."""
    found = connection.execute(
        sqlalchemy.text(
            "SELECT 1 FROM pg_index i WHERE i.indrelid = CAST(:name AS regclass) AND i.indisunique AND i.indisvalid"
            " AND i.indpred IS NULL AND i.indexprs IS NULL AND (SELECT count(*) = cardinality(CAST(:keys AS text[]))"
            "   AND bool_and(a.attnotnull AND CAST(a.attname AS text) = ANY (CAST(:keys AS text[])))"
            "   FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))"
        ),
        {"name": identifier(table.schema, table.name), "keys": table.key_names},
    ).first()
    return frozenset(table.key_names) if found and table.keys else frozenset()


def _is_made_there(connection: sqlalchemy.Connection, table: Table, key: frozenset[str]) -> bool:
    """Whether the database itself gives a column of the key its values, and not the stream."""
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
    """Drop the primary key; its columns may be null then, if they may be in the stream."""
    constraint = connection.execute(
        sqlalchemy.text("SELECT conname FROM pg_constraint WHERE conrelid = CAST(:name AS regclass) AND contype = 'p'"),
        {"name": identifier(table.schema, table.name)},
    ).scalar_one()
    _alter(table, connection, f"DROP CONSTRAINT {identifier(constraint)}")
    for column in may_be_null(table, key):
        _alter(table, connection, f"ALTER COLUMN {identifier(column)} DROP NOT NULL")


def _report_loose_keys(table: Table, found: Existing) -> None:
    for key in table.key_names:
        if plain(found.bases.get(key, "")) in LOOSE:
            logger.warning(
                "The key %s of the table %s is of type %s: keys that PostgreSQL takes for equal are one row, and the "
                "last record counts.",
                key,
                table.name,
                found.types[key],
            )


def _not_written(found: Existing, keys: Iterable[str]) -> frozenset[str]:
    """The columns that only the database writes; a key's that it would number takes the stream's numbers."""
    names = {key.casefold() for key in keys}
    return found.computed | {name for name in found.numbered if name.casefold() not in names}


def _names(table: Table) -> list[str]:
    names = (table.schema, table.name, *(column.property for column in table.columns))
    return [name for name in names if name is not None]


def widen(
    table: Table,
    column: str,
    found: Existing,
    wanted: str | None,
    connection: sqlalchemy.Connection,
    *,
    is_needed: bool = False,
) -> None:
    """Give a column a type that also holds `wanted`, in place; nothing if its type does already.

    Without `wanted` it is the type that keeps every digit of a second. Unless a value that it does not hold is there
    (`is_needed`), a UUID stays one.

    Raises:
        LoadError: it is a key, and the rows that are there would not be found by it.
    """
    stored, base = found.types[column], found.bases[column]
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
    """The expression that turns the values of a column of this type into a new one, exactly."""
    if base.endswith("[]") and not new.endswith("[]"):
        return f"CAST(to_jsonb({name}) AS {new})"
    text = f"CAST({name} AS text)"
    if is_text(new):
        return f"CAST({_as_text(name, base)} AS {new})"
    if base in ("real", "double precision"):
        return f"CAST({text} AS {new})"  # a direct cast rounds to 15 digits
    return f"CAST({name} AS {new})"


def _as_text(name: str, base: str) -> str:
    """The expression of a column's values as the target writes them into a column of text."""
    text, kind = f"CAST({name} AS text)", plain(base)
    if kind in ("json", "jsonb"):  # of a text what is in its quotes, and equal numbers as equal texts
        number = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        kinds = f"WHEN 'string' THEN {name} #>> '{{}}' WHEN 'number' THEN {number}"
        return f"CASE {kind}_typeof({name}) {kinds} ELSE {text} END"
    if kind in ("numeric", "money"):
        return f"CAST(trim_scale(CAST({name} AS numeric)) AS text)"
    if kind in ("real", "double precision"):
        digits = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        return f"CASE WHEN {text} IN ('NaN', 'Infinity', '-Infinity') THEN {text} ELSE {digits} END"
    if kind == "timestamp with time zone":
        return f"CAST({name} AT TIME ZONE 'UTC' AS text)"
    if kind == "time with time zone":
        return f"regexp_replace({text}, '[+]00$', '')"
    return f"encode({name}, 'hex')" if kind == "bytea" else text


def _with_overflow(table: Table, wanted: Mapping[str, str], found: Existing) -> Table:
    """The table with the columns that PostgreSQL takes; the others' properties become members of one column."""
    first = [column for column in table.columns if column.name in found.types or column.property in table.keys]
    there = {column.name for column in first}
    rest = [column for column in table.columns if column.name not in there]
    rest.sort(key=lambda column: not column.name.startswith("_sdc_"))  # our own columns are needed as columns
    # One place is kept for the overflow itself; tables that are full already cannot have it, nor new columns.
    places = _MOST_COLUMNS - 1 - max(found.used, len(first)) + (OVERFLOW in found.types)
    used = 0
    for sql_type in found.types.values() or (wanted[column.name] for column in first):
        used = _end(used, sql_type)
    kept, over = set(there), []
    for column in rest:
        end = _end(used, wanted[column.name])
        if places < 1 or end > _ROW_BYTES:
            over.append(column)
        else:
            kept.add(column.name)
            places, used = places - 1, end
    if not over:
        return table
    logger.warning(
        "The table %s cannot have a column for each of its %d properties, as PostgreSQL takes 1,600 columns and rows "
        "of 8 kB: %d of them, from %s to %s, are in its column %s, a JSON object.",
        table.name,
        len(table.columns),
        len(over),
        over[0].property,
        over[-1].property,
        OVERFLOW,
    )
    overflow = Column(
        OVERFLOW,
        "json",
        is_nullable=True,
        is_required=False,
        schema=_OVERFLOW_SCHEMA,
        members=tuple(column.property for column in over),
    )
    return replace(table, columns=(*(column for column in table.columns if column.name in kept), overflow))


def _end(start: int, sql_type: str) -> int:
    """Where a value ends in the row that begins at or after `start`; eight bytes begin at a multiple of eight."""
    width = _TIME_BYTES if sql_type.startswith("time") else _WIDTHS.get(sql_type, _TEXT_BYTES)
    return (-(-start // width) * width if width in (4, 8) else start) + width


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
    """SQLAlchemy's name of a type, written as PostgreSQL's format_type writes it."""
    return sql_type.lower().replace("decimal", "numeric").replace("varchar", "character varying").replace(", ", ",")
