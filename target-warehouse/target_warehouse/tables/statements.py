"""The SQL statements that both engines use, as text. Pure: standard library only.

A staged batch is the relation `s`; the stream's table is `t`. `values` maps each column of the batch to the expression
that makes its value from `s`, with the casts that an engine needs. Names are always quoted by `identifier`. Values
never appear in a statement, except integers, timestamps of the target's own, and ids as quoted texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


def identifier(*parts: str | None) -> str:
    """A quoted name; parts that are None are left out."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts if part is not None)


def literal(text: str) -> str:
    """A quoted string."""
    return "'" + text.replace("'", "''") + "'"


def column_list(names: Iterable[str]) -> str:
    """Quoted names, separated by commas."""
    return ", ".join(identifier(name) for name in names)


def chosen_rows(*, mark: str | None, ids: Sequence[str] | None = None) -> str:
    """A WHERE clause for rows that are not marked as deleted and whose `id` is one of `ids`; empty for all rows."""
    conditions = [f"{identifier(mark)} IS NULL"] if mark else []
    if ids is not None:
        texts = ", ".join(map(literal, ids)) or "NULL"
        conditions.append(f"{identifier('id')} IN ({texts})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def matches(keys: Iterable[str], values: Mapping[str, str]) -> str:
    """The condition that a row of `t` and a row of `s` have the same key."""
    return " AND ".join(f"t.{identifier(key)} = {values[key]}" for key in keys)


def delete_matching(table: str, stage: str, keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Delete the rows of the table whose key is in the batch."""
    return f"DELETE FROM {table} AS t USING {stage} AS s WHERE {matches(keys, values)}"  # noqa: S608 - quoted


def count_any(table: str, keys: Iterable[str]) -> str:
    """Count the rows of the table, up to 1; the ORDER BY uses the key's index instead of a scan through dead rows."""
    return f"SELECT count(*) FROM (SELECT 1 FROM {table} ORDER BY {column_list(keys)} LIMIT 1) AS t"  # noqa: S608


def count_equal(stage: str, values: Mapping[str, str]) -> str:
    """Count the groups of equal rows in the stage, converted by these expressions over `s`."""
    columns = ", ".join(values.values())
    return f"SELECT count(*) FROM (SELECT 1 FROM {stage} AS s GROUP BY {columns} HAVING count(*) > 1) AS g"  # noqa: S608 - quoted


def insert_all(table: str, stage: str, values: Mapping[str, str], overriding: str = "") -> str:
    """Insert every row of the batch; `overriding` is a clause in front of the SELECT."""
    chosen = f"{overriding} SELECT {', '.join(values.values())} FROM {stage} AS s"  # noqa: S608 - quoted
    return f"INSERT INTO {table} ({column_list(values)}){chosen}"


def delete_row(table: str, keys: Iterable[str], types: Mapping[str, str]) -> str:
    """Delete the row whose keys are the parameters."""
    condition = " AND ".join(f"{identifier(key)} = {_parameter(i, types[key])}" for i, key in enumerate(keys, 1))
    return f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - quoted


def insert_row(table: str, columns: Collection[str], types: Mapping[str, str]) -> str:
    """Insert a row whose columns are the parameters."""
    values = ", ".join(_parameter(i, types[column]) for i, column in enumerate(columns, 1))
    return f"INSERT INTO {table} ({column_list(columns)}) VALUES ({values})"  # noqa: S608 - quoted


def _parameter(number: int, kind: str) -> str:
    return f"CAST(${number} AS {kind})"


def insert_missing(table: str, stage: str, keys: Iterable[str], values: Mapping[str, str], overriding: str = "") -> str:
    """Insert the rows of the batch whose key is not in the table."""
    exists = f"SELECT 1 FROM {table} AS t WHERE {matches(keys, values)}"  # noqa: S608 - quoted
    return f"{insert_all(table, stage, values, overriding)} WHERE NOT EXISTS ({exists})"


def update_matching(table: str, stage: str, keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Set only the batch's columns in the rows of the table whose key is in the batch.

    If the batch only has keys, set the keys to themselves.
    """
    keys = tuple(keys)
    changed = [name for name in values if name not in keys] or keys
    changes = ", ".join(f"{identifier(name)} = {values[name]}" for name in changed)
    return f"UPDATE {table} AS t SET {changes} FROM {stage} AS s WHERE {matches(keys, values)}"  # noqa: S608 - quoted


def count_newly_deleted(table: str, stage: str, keys: Iterable[str], values: Mapping[str, str], mark: str) -> str:
    """Count the live rows of the table that this batch marks as deleted in the column `mark`."""
    mark = identifier(mark)
    return (
        f"SELECT count(*) FROM {table} AS t JOIN {stage} AS s ON {matches(keys, values)} "  # noqa: S608 - quoted
        f"WHERE t.{mark} IS NULL AND s.{mark} IS NOT NULL"
    )


def count_having(table: str, stage: str, keys: Iterable[str], values: Mapping[str, str], value: str) -> str:
    """Count the rows of the table, up to 1, whose key is in the batch, and for which `value` over `t` is not null."""
    found = f"SELECT 1 FROM {table} AS t JOIN {stage} AS s ON {matches(keys, values)}"  # noqa: S608 - quoted
    return f"SELECT count(*) FROM ({found} WHERE {value} IS NOT NULL LIMIT 1) AS f"  # noqa: S608 - quoted


def count_same(
    table: str,
    stage: str,
    keys: Iterable[str],
    values: Mapping[str, str],
    compared: Iterable[tuple[str, str]],
    *,
    joins_first: bool,
) -> str:
    """Count the rows of the batch that equal their rows in the table; `compared` are expressions over `t` and `s`.

    `joins_first`: the comparison filters joined rows. As a condition of the join, 3,000 columns took DuckDB's optimizer
    ten times as long (measured, 2.0.0); PostgreSQL joins at most 1,664 columns, and needs the condition.
    """
    same = "".join(f" AND {left} IS NOT DISTINCT FROM {right}" for left, right in compared)
    found = matches(keys, values)
    if joins_first:
        return f"SELECT count(*) FILTER (WHERE true{same}) FROM {stage} AS s JOIN {table} AS t ON {found}"  # noqa: S608 - quoted
    there = f"SELECT 1 FROM {table} AS t WHERE {found}{same}"  # noqa: S608 - quoted
    return f"SELECT count(*) FROM {stage} AS s WHERE EXISTS ({there})"  # noqa: S608 - quoted


def count_where(table: str, where: str) -> str:
    """Count the rows of the table that meet a condition."""
    return f"SELECT count(*) FROM {table} AS t WHERE {where}"  # noqa: S608 - quoted


def in_batch(stage: str, keys: Iterable[str], values: Mapping[str, str]) -> str:
    """The condition that the key of a row of `t` is in the batch."""
    return f"EXISTS (SELECT 1 FROM {stage} AS s WHERE {matches(keys, values)})"  # noqa: S608 - quoted


def delete_all(table: str) -> str:
    """Delete every row."""
    return f"DELETE FROM {table}"  # noqa: S608 - quoted


def count_newer(
    table: str, version: int, column: str, *, stage: str = "", scope: Mapping[str, str] | None = None
) -> str:
    """Count the rows of newer versions, up to 1; with a `scope`, only rows with the values in the stage."""
    condition = f"t.{identifier(column)} > {int(version)}"
    if scope:
        condition += f" AND EXISTS (SELECT 1 FROM {stage} AS s WHERE {matches(scope, scope)})"  # noqa: S608 - quoted
    return f"SELECT count(*) FROM (SELECT 1 FROM {table} AS t WHERE {condition} LIMIT 1) AS newer"  # noqa: S608


def sum_loaded(history: str, run_id: str, place: tuple[str | None, str]) -> str:
    """What runs other than this one have written to a table, a number that grows with each of their commits."""
    schema, name = (literal(part) if part is not None else "NULL" for part in place)
    counts = " + ".join(f"coalesce(sum({count}), 0)" for count in ("rows_read", "inserted", "updated", "deleted"))
    return (
        f"SELECT {counts} FROM {history} WHERE run_id <> {literal(run_id)} AND table_name = {name} "  # noqa: S608 - quoted
        f"AND table_schema IS NOT DISTINCT FROM {schema}"
    )


def mark_interrupted(history: str, alive_condition: str, error: str) -> str:
    """Close the rows of the history whose run is over without having said so; `error` is a text of our own."""
    return (
        f"UPDATE {history} SET status = 'interrupted', error = '{error}' "  # noqa: S608 - quoted
        f"WHERE status = 'running' AND NOT ({alive_condition})"
    )


def outdated(
    table: str,
    version: int,
    columns: tuple[str, str],
    *,
    hard_delete: bool,
    stage: str = "",
    scope: Mapping[str, str] | None = None,
) -> str:
    """The condition for rows of older versions and without a version, unless the table has a newer version.

    `columns` are the table's columns for the version and for the mark of deleted rows. Without `hard_delete`, only rows
    that are not marked count.

    With a `scope` (columns, and their expressions over the stage), only rows with the values in the stage count, and a
    newer version matters only for the same values.
    """
    column, mark = map(identifier, columns)
    scope = scope or {}
    newer = [f"newer.{column} > {int(version)}", *(f"newer.{name} = t.{name}" for name in map(identifier, scope))]
    conditions = [
        f"(t.{column} < {int(version)} OR t.{column} IS NULL)",
        f"NOT EXISTS (SELECT 1 FROM {table} AS newer WHERE {' AND '.join(newer)})",  # noqa: S608 - quoted
    ]
    if scope:
        conditions.append(in_batch(stage, scope, scope))
    if not hard_delete:
        conditions.append(f"t.{mark} IS NULL")
    return " AND ".join(conditions)


def count_first(table: str, where: str) -> str:
    """1 if a row meets the condition, else 0."""
    return f"SELECT count(*) FROM (SELECT 1 FROM {table} AS t WHERE {where} LIMIT 1) AS first"  # noqa: S608 - quoted


def delete_where(table: str, where: str) -> str:
    """Delete the rows that meet a condition."""
    return f"DELETE FROM {table} AS t WHERE {where}"  # noqa: S608 - quoted


def mark_where(table: str, mark: str, where: str) -> str:
    """Mark the rows that meet a condition with the time of the transaction in UTC."""
    now = "CAST(now() AT TIME ZONE 'UTC' AS timestamp)"
    return f"UPDATE {table} AS t SET {identifier(mark)} = {now} WHERE {where}"  # noqa: S608 - quoted
