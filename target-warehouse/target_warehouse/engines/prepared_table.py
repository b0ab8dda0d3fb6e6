"""A stream's table as the database has it: the names there, and the column types. Pure, except for logging."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import storable
from target_warehouse.errors import LoadError
from target_warehouse.shown import shown
from target_warehouse.tables import fitted_names
from target_warehouse.tables.table import DELETED_AT, METADATA, OVERFLOW, own_column

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from target_warehouse.tables.table import Table
    from target_warehouse.tables.views import View

logger = logging.getLogger("target-warehouse")


def named(
    table: Table,
    tables: Iterable[str],
    columns: Callable[[str | None, str], Mapping[str, str]],
    *,
    most_bytes: int | None,
    ignores_case: bool,
    unusable: Collection[str] = (),
    reserved: Collection[str] = (),
    barred: Callable[[str], Collection[str]] = lambda _: (),
) -> Table:
    """The table with names that the database accepts; every renamed table and column is logged.

    `tables` are the names in the table's schema, and `columns` returns the columns of a table with their types.
    `unusable` are names that the database refuses, `reserved` those that it refuses for columns only, and `barred`
    returns the columns of a table that nobody can write.
    The target's own columns keep their names; a property with such a name, in any case, gets another one.
    """
    limits: dict[str, Any] = {"most_bytes": most_bytes, "ignores_case": ignores_case}
    fitted_name = fitted_names.fit_table(table.name, tables, unusable=unusable, **limits)
    if fitted_name != table.name:
        logger.warning(
            "The database does not accept the table name %s: the table is %s.", shown(table.name), fitted_name
        )
    existing, unusable = columns(table.schema, fitted_name), {*unusable, *reserved}
    fitted = column_names(table, existing, unusable=unusable, barred=barred(fitted_name), **limits)
    for name, column in fitted.items():
        if name != column:
            logger.warning(
                "Table %s: the property %s is in the column %s, %s.",
                fitted_name,
                shown(name),
                column,
                "which differs in case only"
                if name.casefold() == column.casefold()
                else "because the database does not accept its name or has another column of that name",
            )
    return replace(
        table,
        name=fitted_name,
        columns=tuple(replace(column, name=fitted[column.property]) for column in table.columns),
    )


def column_names(
    table: Table,
    existing: Mapping[str, str],
    *,
    most_bytes: int | None,
    ignores_case: bool,
    unusable: Collection[str] = (),
    barred: Collection[str] = (),
) -> dict[str, str]:
    """The column name of each property, in a table that has these columns, given with their types.

    A key uses an existing column that differs in case only, because rows would be duplicated otherwise; where the
    database ignores case, so does every property.
    """
    properties = [column.property for column in table.columns]
    return fitted_names.fit(
        properties,
        existing,
        most_bytes=most_bytes,
        ignores_case=ignores_case,
        unusable=unusable,
        given=_own_names(table, existing, ignores_case=ignores_case),
        respelled=properties if ignores_case else table.keys,
        barred=barred,
    )


def _own_names(table: Table, existing: Mapping[str, str], *, ignores_case: bool) -> dict[str, str]:
    """The names of the target's own columns, by property, and a name for a property called like the overflow."""
    taken = {name.casefold() if ignores_case else name for name in existing}
    own = {
        name: own_column(name, existing) or (fitted_names.hashed(name) if name in taken else name)
        for name in (DELETED_AT, *METADATA)
        if name in table.by_property
    }
    return {**own, OVERFLOW: fitted_names.hashed(OVERFLOW)}


def check_schema(table: Table, most_bytes: int | None, unusable: Collection[str] = ()) -> None:
    """Check that the database accepts the name of the table's schema; the user chose it, so it is not changed.

    Raises:
        LoadError: it does not.
    """
    if table.schema is None or (fitted_names.is_usable(table.schema, most_bytes) and table.schema not in unusable):
        return
    limit = f"longer than {most_bytes} bytes or " if most_bytes else ""
    msg = (
        f"The schema {storable(table.schema)} cannot be created: its name is {limit}not Unicode, or has a NUL or a "
        "character that the database cannot store. Change the setting default_target_schema; if it is empty, the "
        "stream's name, whose first part is the schema."
    )
    raise LoadError(msg)


def stored_as(table: Table, types: Mapping[str, str]) -> Table:
    """The table with each column's type in the database."""
    return replace(table, columns=tuple(replace(column, stored=types[column.name].lower()) for column in table.columns))


def report_wider(table: Table, column: str, existing: str, wider: str) -> None:
    """Log that a column gets a wider type."""
    logger.warning(
        "The column %s of the table %s was of type %s and becomes %s, because the stream sends values that the old "
        "type does not hold. Nothing is lost; a query that needs the old type can cast.",
        column,
        table.name,
        existing.lower(),
        wider,
    )


def is_to_make(view: View, comment: str | None, schema: str) -> bool:
    """Whether a view must be created or replaced; `comment` is that of the existing object of its name, None if none.

    An object that another program created is left alone, with a warning.
    """
    if comment == view.comment:
        return False
    if comment is not None and not comment.startswith(view.mark):
        logger.warning(
            "The view %s.%s is not created: another object has its name. Rename that object.", schema, view.name
        )
        return False
    return True


def report_not_made(view: View, schema: str, reason: str) -> None:
    """Warn that the database refused a view."""
    logger.warning(
        "The view %s.%s cannot be created or changed: %s. All rows are loaded, and the next run tries again.",
        schema,
        view.name,
        reason,
    )


def report_made(views: Sequence[View], schema: str) -> None:
    """Log which views are new or changed, and which columns could not be added to them."""
    if views:
        logger.info("New or changed views in the schema %s: %s.", schema, ", ".join(view.name for view in views))
    for view in views:
        for column in view.lacks:
            logger.info("The view %s.%s has no column %s.", schema, view.name, column)
