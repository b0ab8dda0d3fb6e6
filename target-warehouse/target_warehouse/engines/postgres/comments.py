"""Comments on tables and columns in PostgreSQL: written in one round trip, and only where they change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import sqlalchemy

from target_warehouse.engines.postgres.errors import answer_of
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import changed_comments

if TYPE_CHECKING:
    from target_warehouse.engines.postgres.encoding import Encoding
    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

_COMMENTS = """
SELECT a.attname, d.description
FROM pg_class c JOIN pg_description d ON d.objoid = c.oid AND d.classoid = CAST('pg_class' AS regclass)
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE c.relname = :name AND c.relkind IN ('r', 'p')
  AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema()))
"""


def comment_on(table: Table, connection: sqlalchemy.Connection, encoding: Encoding) -> None:
    """Write the schema's titles and descriptions as comments; a warning says so if the role may not."""
    if not changed_comments(table, {}):
        return
    rows = connection.execute(sqlalchemy.text(_COMMENTS), {"schema": table.schema, "name": table.name}).all()
    changed = changed_comments(table, {row[0]: row[1] for row in rows})
    if lacking := encoding.lacking(connection, changed.values()):
        logger.info(
            "Comments of the table %s have characters that the database's encoding, %s, does not have; each is "
            "replaced by a question mark.",
            table.name,
            encoding.name,
        )
        marks = str.maketrans(dict.fromkeys(lacking, "?"))
        changed = {name: text.translate(marks) for name, text in changed.items()}
    if not changed:
        return
    statements = ";".join(
        f"COMMENT ON TABLE {identifier(table.schema, table.name)} IS {literal(text)}"
        if column is None
        else f"COMMENT ON COLUMN {identifier(table.schema, table.name, column)} IS {literal(text)}"
        for column, text in changed.items()
    )
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statements.replace("%", "%%"), ())
    except sqlalchemy.exc.DBAPIError as error:
        logger.warning(
            "The comments on the table %s cannot be written: %s. Its rows are loaded anyway.",
            table.name,
            answer_of(error.orig).message,
        )
