"""Views in PostgreSQL: created once, replaced when their definition changes, and dropped while a column changes.

PostgreSQL does not let the type of a column change that a view uses. Our own views are dropped for it and created again
in the same transaction, with their grants. Views of other programs, and our views that they use, are never dropped.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy

from target_warehouse.engines.postgres.errors import answer_of
from target_warehouse.engines.prepared_table import is_to_make, report_made, report_not_made
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.views import MADE_BY, View, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_CANNOT_REPLACE = "42P16"  # the new view lacks a column, or gives it another type

_RELATIONS = """
SELECT n.nspname, c.relname, c.relkind, d.description,
  array_agg(CAST(a.attname AS text) ORDER BY a.attnum),
  array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
  (SELECT json_agg((SELECT json_agg(CAST(k.attname AS text)) FROM pg_attribute k
     WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey)))
   FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
     AND i.indexprs IS NULL AND NOT (c.relkind = 'r' AND c.relhassubclass))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = CAST('pg_class' AS regclass) AND d.objsubid = 0
WHERE n.nspname IN (:schema, :views) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
GROUP BY n.nspname, c.oid, c.relname, c.relkind, c.relhassubclass, d.description
"""
_GRANTS = """
SELECT string_agg(format('GRANT %s ON %I.%I TO %s%s', g.privilege_type, n.nspname, c.relname,
  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
  CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ';')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) g
WHERE n.nspname = :schema AND c.relname = :name AND g.grantee <> c.relowner
"""
_USERS_OF_COLUMN = """
SELECT DISTINCT n.nspname, nv.nspname, v.relname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend u ON u.refclassid = CAST('pg_class' AS regclass) AND u.refobjid = c.oid AND u.refobjsubid = a.attnum
  AND u.classid = CAST('pg_rewrite' AS regclass)
JOIN pg_rewrite r ON r.oid = u.objid JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_namespace nv ON nv.oid = v.relnamespace
JOIN pg_description d ON d.objoid = v.oid AND d.classoid = CAST('pg_class' AS regclass) AND d.objsubid = 0
WHERE n.nspname = coalesce(CAST(:schema AS text), current_schema()) AND c.relname = :name AND a.attname = :column
  AND v.relkind = 'v' AND d.description LIKE :mark
"""


class _Relations:
    """The tables of a schema with their column types and unique keys, and the relations in the schema of the views.

    A table that others inherit from has no unique key, because an index does not cover the rows of the others.
    """

    def __init__(self, connection: sqlalchemy.Connection, schema: str, views_schema: str) -> None:
        rows = connection.execute(sqlalchemy.text(_RELATIONS), {"schema": schema, "views": views_schema}).all()
        self.tables = {
            row[1]: dict(zip(row[4], row[5], strict=True)) for row in rows if row[0] == schema and row[2] in ("r", "p")
        }
        self.keys = {row[1]: [frozenset(key) for key in row[6] or ()] for row in rows if row[0] == schema}
        self.in_views_schema: dict[str, tuple[str, list[str]]] = {
            row[1]: (row[3] or "", row[4]) for row in rows if row[0] == views_schema
        }


def make_views(
    ddl_transaction: Callable[[], AbstractContextManager[sqlalchemy.Connection]],
    engine: sqlalchemy.Engine,
    schema: str,
    views_schema: str,
) -> None:
    """Create or replace the views that are not up to date, each in a `ddl_transaction`; see the protocol."""
    with engine.connect() as reader:
        relations = _Relations(reader, schema, views_schema)
    made = []
    for view in views_of(schema, relations.tables, relations.keys):
        comment, columns = relations.in_views_schema.get(view.name, (None, []))
        if not is_to_make(view, comment, views_schema):
            continue
        try:
            with ddl_transaction() as connection:
                _make(connection, view, views_schema, columns)
        except sqlalchemy.exc.DBAPIError as error:
            report_not_made(view, views_schema, answer_of(error.orig).message)
            continue
        made.append(view)
    report_made(made, views_schema)


@contextmanager
def out_of_the_way(connection: sqlalchemy.Connection, schema: str | None, table: str, column: str) -> Iterator[None]:
    """Drop our views that use this column; after the block, create them again, with their grants."""
    users = connection.execute(
        sqlalchemy.text(_USERS_OF_COLUMN),
        {"schema": schema, "name": table, "column": column, "mark": f"Live rows of %, {MADE_BY} %"},
    ).all()
    grants = [_drop(connection, views_schema, name) for _, views_schema, name in users]
    yield
    for (tables_schema, views_schema, name), granted in zip(users, grants, strict=True):
        relations = _Relations(connection, tables_schema, views_schema)
        for view in views_of(tables_schema, relations.tables, relations.keys):
            if view.name == name:
                _make(connection, view, views_schema, [])
                _run(connection, granted)


def _make(connection: sqlalchemy.Connection, view: View, views_schema: str, columns: list[str]) -> None:
    """Create or replace a view; a view that cannot be replaced is dropped first."""
    if views_schema not in connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars().all():
        connection.execute(sqlalchemy.schema.CreateSchema(views_schema))
    name = identifier(views_schema, view.name)
    granted = None
    if columns:
        try:
            with connection.begin_nested():
                _run(connection, f"CREATE OR REPLACE VIEW {name} AS {view.select(columns)}")
        except sqlalchemy.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _CANNOT_REPLACE:
                raise
            granted = _drop(connection, views_schema, view.name)
            columns = []
    if not columns:
        _run(connection, f"CREATE VIEW {name} AS {view.select()}")
        _run(connection, granted)
    _run(connection, f"COMMENT ON VIEW {name} IS {literal(view.comment)}")


def _drop(connection: sqlalchemy.Connection, schema: str, name: str) -> str | None:
    """Drop a view without dependents; returns the statements that restore its grants."""
    granted: Any = connection.execute(sqlalchemy.text(_GRANTS), {"schema": schema, "name": name}).scalar()
    _run(connection, f"DROP VIEW {identifier(schema, name)}")
    return granted if isinstance(granted, str) else None


def _run(connection: sqlalchemy.Connection, statements: str | None) -> None:
    if statements:
        connection.exec_driver_sql(statements.replace("%", "%%"), ())
