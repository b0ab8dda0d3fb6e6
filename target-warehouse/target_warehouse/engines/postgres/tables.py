"""Tables in PostgreSQL: created as target-postgres creates them, extended, widened, and read from the catalog.

Properties beyond PostgreSQL's limits share one JSONB column (`overflow`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy

from target_warehouse.engines.changed_keys import check_spellings, has_another_key, may_be_null
from target_warehouse.engines.postgres.catalog import (
    NAME_BYTES,
    ExistingTable,
    existing_table,
    finds_in,
    warn_of_hidden_rows,
)
from target_warehouse.engines.postgres.columns import alter, full_name, widen
from target_warehouse.engines.postgres.overflow import with_overflow
from target_warehouse.engines.postgres.types import WITHOUT_EQUALITY, plain
from target_warehouse.engines.prepared_table import check_schema, named
from target_warehouse.errors import LoadError
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import column_list, identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_postgres.connector import PostgresConnector

    from target_warehouse.engines.postgres.encoding import Encoding
    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

#: From this many columns on, rows of up to a page are stored inline. By default PostgreSQL moves or compresses dozens
#: of small values of every row above 2 kB, which made loading 250 columns three times slower.
_WIDE_TABLE_COLUMNS = 50
_WIDE_TABLE_TOAST = 8160


def prepare(
    table: Table, connector: PostgresConnector, connection: sqlalchemy.Connection, encoding: Encoding
) -> tuple[Table, ExistingTable]:
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
        column.name: full_name(connector.to_sql_type(dict(column.schema)).compile(dialect)) for column in table.columns
    }
    table = with_overflow(table, wanted, existing.types, existing.used)
    if not existing.types:
        _create(table, connector, connection)
        return table, existing_table(connection, table.schema, table.name)
    _check_key_types(table, existing)
    is_rekeyed = has_another_key(
        table,
        identifier(table.schema, table.name),
        existing.types,
        existing.key or unique_columns(connection, table),
        finds_in(connection),
    )
    quoted_name = identifier(table.schema, table.name)
    check_spellings(table, quoted_name, existing.bases, finds_in(connection), "CAST({text} AS text) ~ {pattern}")
    is_rekeyed = is_rekeyed and bool(existing.key) and not _is_generated_key(connection, table, existing.key)
    if is_rekeyed:
        _forget_key(table, connection, existing.key)
    wanted[OVERFLOW] = "jsonb"
    for column in table.columns:
        if column.name not in existing.types:
            alter(table, connection, f"ADD COLUMN {identifier(column.name)} {wanted[column.name]}")
        else:
            widen(table, column.name, existing, wanted[column.name], connection)
    if is_rekeyed and table.keys:
        alter(table, connection, f"ADD PRIMARY KEY ({column_list(table.key_names)})")
    if existing.has_row_security:
        warn_of_hidden_rows(table.name)
    existing = existing_table(connection, table.schema, table.name)
    _report_loose_keys(table, existing)
    return table, existing


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
    alter(table, connection, f"DROP CONSTRAINT {identifier(constraint)}")
    for column in may_be_null(table, key):
        alter(table, connection, f"ALTER COLUMN {identifier(column)} DROP NOT NULL")


def _check_key_types(table: Table, existing: ExistingTable) -> None:
    """Check that PostgreSQL tells the values of the keys apart.

    Raises:
        LoadError: a key column has a type whose values it does not compare, or only by size.
    """
    for key in table.key_names:
        if plain(existing.bases.get(key, "")) in WITHOUT_EQUALITY - {"json"}:
            msg = (
                f"The key {key} of the table {table.name} is of type {existing.types[key]}, whose values PostgreSQL "
                "does not tell apart. Make it a column of another type, or load into another table."
            )
            raise LoadError(msg)


def _report_loose_keys(table: Table, existing: ExistingTable) -> None:
    """Warn of keys in which differently written values may be equal."""
    for key in table.key_names:
        if key in existing.loose:
            what = f"type {existing.types[key]}"
            what += f" with the collation {existing.collations[key]}" if key in existing.collations else ""
            logger.warning(
                "The key %s of the table %s is of %s: keys that PostgreSQL considers equal share one row, and the "
                "last record wins.",
                key,
                table.name,
                what,
            )


def _not_written(existing: ExistingTable, keys: Iterable[str]) -> frozenset[str]:
    """The columns that only the database writes; an identity column that is a key takes the stream's values."""
    names = {key.casefold() for key in keys}
    return existing.computed | {name for name in existing.numbered if name.casefold() not in names}


def _names(table: Table) -> list[str]:
    names = (table.schema, table.name, *(column.property for column in table.columns))
    return [name for name in names if name is not None]


def _create(table: Table, connector: PostgresConnector, connection: sqlalchemy.Connection) -> None:
    schema = _quoted(table.schema) if table.schema else None
    if schema:
        names: Iterable[str] = connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars().all()
        if schema not in names:
            connection.execute(sqlalchemy.schema.CreateSchema(schema))
    connector.create_empty_table(
        table_name=_quoted(table.name),
        meta=sqlalchemy.MetaData(schema=schema),
        schema={"properties": {_quoted(column.name): dict(column.schema) for column in table.columns}},
        connection=connection,
        primary_keys=table.key_names,
    )
    if len(table.columns) >= _WIDE_TABLE_COLUMNS:
        alter(table, connection, f"SET (toast_tuple_target = {_WIDE_TABLE_TOAST})")


def _quoted(name: str) -> sqlalchemy.quoted_name:
    """The name, which SQLAlchemy would leave without quotes if it does not know that it is a keyword (`lateral`)."""
    return sqlalchemy.quoted_name(name, quote=True)
