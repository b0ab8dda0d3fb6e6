"""Statistics of new tables, by which PostgreSQL plans queries.

PostgreSQL collects them by itself, a minute or more after a load, if autovacuum is on. Until then it plans as if a
table had a handful of rows: with 11,000 contacts, a query of the view `associations` took minutes (observed, 18.6).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import sqlalchemy

from target_warehouse.engines.postgres.errors import answer_of
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Collection

logger = logging.getLogger(__name__)

#: Tables that have never been analyzed or vacuumed. Smaller ones need no statistics.
_NEW = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpages = 0 AND pg_relation_size(c.oid) >= 65536
"""


def analyze_new(engine: sqlalchemy.Engine, places: Collection[tuple[str | None, str]]) -> None:
    """Analyze those of these tables, each (schema, name), that are new and not small; a failure is logged."""
    try:
        with engine.connect() as connection, connection.begin():
            found = {(row[0], row[1]) for row in connection.exec_driver_sql(_NEW)}
            default = connection.exec_driver_sql("SELECT current_schema()").scalar()
            for place in sorted({(schema or str(default), name) for schema, name in places} & found):
                connection.exec_driver_sql(f"ANALYZE {identifier(*place)}".replace("%", "%%"), ())
    except sqlalchemy.exc.DBAPIError as error:
        logger.info("New tables could not be analyzed: %s", answer_of(error.orig).message)
