"""The rights that a run needs and a role lacks: looked up, not tried, so no session waits for a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy

from target_warehouse.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLE = sqlalchemy.text(
    "SELECT (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p"
    "   WHERE NOT has_table_privilege(c.oid, p)),"
    " pg_has_role(c.relowner, 'USAGE')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = :name AND n.nspname = coalesce(CAST(:schema AS text), current_schema())"
)
_NEW_TABLE = sqlalchemy.text(
    "SELECT CASE WHEN count(*) = 0 THEN has_database_privilege(current_database(), 'CREATE')"
    " ELSE bool_and(has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')) END"
    " FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema())"
)


def check_rights(
    session: sqlalchemy.Connection,
    schema: str | None,
    name: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> None:
    """Check that a run may write the table's rows, and change its columns from `before` (empty: no table) to `after`.

    Raises:
        LoadError: it may not; the message says which right the role lacks.
    """
    lacks = ""
    if not before:
        if not session.execute(_NEW_TABLE, {"schema": schema}).scalar_one():
            lacks = f"the right to create it in the schema {schema or 'that it uses'}, or to create that schema"
    else:
        rights, is_owner = session.execute(_TABLE, {"schema": schema, "name": name}).one()
        if rights:
            lacks = f"{rights} on it"
        elif before != after and not is_owner:
            lacks = "its ownership, without which PostgreSQL lets no role add or widen columns"
    if lacks:
        msg = (
            f"A run could not load the table {name}: the role lacks {lacks}. The README of target-warehouse lists the "
            "grants that it needs."
        )
        raise LoadError(msg)
