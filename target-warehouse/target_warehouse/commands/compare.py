"""Compare two schemas table by table, with rows matched by key: missing, extra and different rows and columns.

Schemas of one database are compared inside it. For two databases, each table is read once, as Arrow, into a scratch
DuckDB file and compared there. Values of different types are compared by meaning: numbers by digits, times by instant,
JSON by content. Rows marked as deleted count as absent. The metadata columns `_sdc_…` are ignored, because two
pipelines always differ in them; `_sdc_overflow` is none, because it holds properties.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from target_warehouse.commands.comparison import ColumnDifference, Comparison, TableDifference, shown_value
from target_warehouse.commands.same_json import is_same_json
from target_warehouse.engines.duckdb.columns import comparable, comparable_as_time
from target_warehouse.errors import CompareError
from target_warehouse.tables.statements import chosen_rows, column_list, identifier
from target_warehouse.tables.table import DELETED_AT, OVERFLOW, own_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_warehouse.engines.protocol import Engine

_MEMORY = "1GB"
_METADATA = "_sdc_"
_JSON_TYPES = frozenset({"json", "jsonb", "JSON"})
_COLUMNS_AT_ONCE = 50  # columns compared in one query, which bounds its memory


@dataclass(frozen=True)
class Side:
    """A schema of an open warehouse, by the user's name for it; with `ids`, only the rows with these ids."""

    name: str
    engine: Engine
    schema: str | None
    ids: tuple[str, ...] | None = None


def compare(
    a: Side, b: Side, *, tables: Sequence[str], excluded: Sequence[str], keys: Sequence[str], samples: int
) -> Comparison:
    """Compare the named tables, or all tables except `excluded` and those whose names begin with `_`.

    Rows are matched by the columns `keys`, by default by each table's own key.

    Raises:
        CompareError: a schema has no tables, a named table is missing, or a table's key is unknown or not unique.
    """
    in_a, in_b = (_tables(side, tables, excluded) for side in (a, b))
    both = [name for name in in_a if name in in_b]
    with tempfile.TemporaryDirectory(prefix="warehouse-compare-") as folder:
        compared: list[TableDifference] = []
        for name in both:
            with duckdb.connect(str(Path(folder) / f"{len(compared)}.duckdb")) as scratch:
                scratch.execute(f"SET memory_limit = '{_MEMORY}'; SET TimeZone = 'UTC'")
                compared.append(_Table(scratch, a, b, name, keys, samples).difference())
    only_in_a, only_in_b = [name for name in in_a if name not in in_b], [name for name in in_b if name not in in_a]
    return Comparison(compared, only_in_a, only_in_b)


def _tables(side: Side, wanted: Sequence[str], excluded: Sequence[str]) -> list[str]:
    existing = sorted(side.engine.table_names(side.schema))
    comparable_tables = [name for name in existing if not name.startswith("_") and name not in excluded]
    if not comparable_tables:
        msg = f"{side.name} has no tables to compare: correct its name, or load data into it first."
        raise CompareError(msg)
    if missing := [name for name in wanted if name not in existing]:
        msg = f"{side.name} has no table {', '.join(missing)}; it has {', '.join(comparable_tables)}."
        raise CompareError(msg)
    return list(wanted) or comparable_tables


class _Table:
    """One table of both sides; `a` and `b` are relations of one database, the sides' own or a scratch database."""

    def __init__(
        self, scratch: duckdb.DuckDBPyConnection, a: Side, b: Side, name: str, keys: Sequence[str], samples: int
    ) -> None:
        self._samples = samples
        self._sides = {"a": a, "b": b}
        self._types = {letter: side.engine.column_types(side.schema, name) for letter, side in self._sides.items()}
        self._result = TableDifference(name, self._keys(name, keys))
        in_b = set(self._columns("b"))
        self._common = [name for name in self._columns("a") if name in in_b]
        if a.engine is b.engine:
            self._query = a.engine.query
            self._relations = {letter: self._in_place(letter) for letter in self._sides}
        else:
            self._query = lambda sql: scratch.execute(sql).fetchall()
            self._relations = {letter: self._copied(letter, scratch) for letter in self._sides}
        for letter in self._sides:
            self._check_keys(letter)

    def difference(self) -> TableDifference:
        """Compare rows by key, and in the rows that both sides have every column that both have."""
        result, common = self._result, set(self._common)
        result.columns_only_in_a, result.columns_only_in_b = (
            [name for name in self._columns(letter) if name not in common] for letter in "ab"
        )
        columns = [name for name in self._common if name not in result.keys]
        counts: dict[str, int] = {}
        for at in range(0, max(len(columns), 1), _COLUMNS_AT_ONCE):
            some = columns[at : at + _COLUMNS_AT_ONCE]
            result.rows_a, result.rows_b, result.only_in_a, result.only_in_b, *differing = self._counts(some)
            counts |= dict(zip(some, differing, strict=True))
        if result.only_in_a:
            result.keys_only_in_a = self._keys_only_in("a", "b")
        if result.only_in_b:
            result.keys_only_in_b = self._keys_only_in("b", "a")
        result.columns = [
            difference for name, count in counts.items() if count and (difference := self._column(name, count)).rows
        ]
        return result

    def _counts(self, columns: Sequence[str]) -> tuple[int, ...]:
        """Rows of A, of B, only in A and only in B, and for each column the rows of both sides in which it differs."""
        a, b = (f"{letter}.{identifier(self._result.keys[0])}" for letter in "ab")
        (row,) = self._query(
            f"SELECT count({a}), count({b}), count(*) FILTER (WHERE {b} IS NULL), count(*) FILTER (WHERE {a} IS NULL)"  # noqa: S608
            + "".join(
                f", count(*) FILTER (WHERE {_differs(name)} AND {a} IS NOT NULL AND {b} IS NOT NULL)"
                for name in columns
            )
            + f" FROM {self._as('a')} FULL JOIN {self._as('b')} ON {self._on()}"
        )
        return row

    def _keys(self, name: str, asked: Sequence[str]) -> list[str]:
        own = (side.engine.key_names(side.schema, name) for side in self._sides.values())
        keys = list(dict.fromkeys(asked)) or next((sorted(columns) for columns in own if columns), [])
        if not keys:
            msg = f"The key of the table {name} is not known: name its columns with --key."
            raise CompareError(msg)
        for letter, side in self._sides.items():
            if missing := [key for key in keys if key not in self._types[letter]]:
                msg = f"The table {name} of {side.name} has no column {', '.join(missing)} to match rows by."
                raise CompareError(msg)
        return keys

    def _check_keys(self, letter: str) -> None:
        keys = column_list(self._result.keys)
        empty = " OR ".join(f"{identifier(key)} IS NULL" for key in self._result.keys)
        ((without,),) = self._query(f"SELECT count(*) FROM {self._as(letter)} WHERE {empty}")  # noqa: S608 - quoted
        if without:
            msg = (
                f"{without:,} rows of {self._result.table} in {self._sides[letter].name} have no value for the key "
                f"{', '.join(self._result.keys)}: name a key that every row has with --key."
            )
            raise CompareError(msg)
        if self._query(f"SELECT 1 FROM {self._as(letter)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"):  # noqa: S608
            msg = (
                f"Rows of {self._result.table} in {self._sides[letter].name} have the same "
                f"{', '.join(self._result.keys)}: name a unique key with --key."
            )
            raise CompareError(msg)

    def _in_place(self, letter: str) -> str:
        """The live rows in place; a column whose types differ between the sides becomes text."""
        side, types = self._sides[letter], self._types[letter]
        compared = {
            name: side.engine.dialect.comparable(identifier(name), types[name], as_text=self._is_mixed(name))
            for name in self._common
        }
        columns = ", ".join(f"{expression} AS {identifier(name)}" for name, expression in compared.items())
        where = chosen_rows(mark=own_column(DELETED_AT, types), ids=side.ids)
        return f"(SELECT {columns} FROM {identifier(side.schema, self._result.table)}{where})"  # noqa: S608 - quoted

    def _copied(self, letter: str, scratch: duckdb.DuckDBPyConnection) -> str:
        """The live rows, copied into a table of the scratch database."""
        side, types = self._sides[letter], self._types[letter]
        is_marked = own_column(DELETED_AT, types) is not None
        with side.engine.read(
            side.schema, self._result.table, self._common, live_only=is_marked, ids=side.ids
        ) as reader:
            types_read = zip(self._common, map(str, reader.schema.types), strict=True)
            columns = ", ".join(
                f"{self._comparable(name, type_read)} AS {identifier(name)}" for name, type_read in types_read
            )
            scratch.register("incoming", reader)
            scratch.execute(f"CREATE TABLE {letter} AS SELECT {columns} FROM incoming")  # noqa: S608 - quoted
            scratch.unregister("incoming")
        return letter

    def _comparable(self, name: str, type_read: str) -> str:
        """The expression by which an Arrow column is compared; a text is read as a time if the other side has times."""
        column, is_mixed = identifier(name), self._is_mixed(name)
        is_time = any(types[name].lower().startswith(("timestamp", "date")) for types in self._types.values())
        if is_mixed and is_time and "string" in type_read:
            return comparable_as_time(column)
        return comparable(column, type_read, as_text=is_mixed)

    def _is_mixed(self, name: str) -> bool:
        return self._types["a"][name] != self._types["b"][name]

    def _columns(self, letter: str) -> list[str]:
        return [name for name in self._types[letter] if name == OVERFLOW or not name.startswith(_METADATA)]

    def _as(self, letter: str) -> str:
        return f"{self._relations[letter]} AS {letter}"

    def _on(self) -> str:
        return " AND ".join(f"a.{identifier(key)} = b.{identifier(key)}" for key in self._result.keys)

    def _keys_only_in(self, letter: str, other: str) -> list[str]:
        rows = (
            f"SELECT {_key_text(letter, self._result.keys)} AS k FROM {self._as(letter)} "  # noqa: S608 - quoted names
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._as(other)} WHERE {self._on()})"
        )
        return [row[0] for row in self._first(rows, self._samples)]

    def _column(self, name: str, count: int) -> ColumnDifference:
        is_json = bool({self._types["a"][name], self._types["b"][name]} & _JSON_TYPES)
        a, b = (f"{letter}.{identifier(name)}" for letter in "ab")
        if is_json:  # psycopg would parse it
            a, b = (f"CAST({column} AS VARCHAR)" for column in (a, b))
        rows = (
            f"SELECT {_key_text('a', self._result.keys)} AS k, {a} AS va, {b} AS vb "  # noqa: S608
            f"FROM {self._as('a')} JOIN {self._as('b')} ON {self._on()} WHERE {_differs(name)}"
        )
        if is_json:
            differing = [row for row in self._first(rows, count) if not is_same_json(row[1], row[2])]
            count, first = len(differing), differing[: self._samples]
        else:
            first = self._first(rows, self._samples)
        return ColumnDifference(
            name, count, [(key, shown_value(left), shown_value(right)) for key, left, right in first]
        )

    def _first(self, rows: str, most: int) -> list[tuple[Any, ...]]:
        """The first rows by key. MATERIALIZED, because PostgreSQL would choose a quadratic plan for a LIMIT alone."""
        return self._query(f"WITH r AS MATERIALIZED ({rows}) SELECT * FROM r ORDER BY k LIMIT {most}")  # noqa: S608


def _differs(name: str) -> str:
    return f"a.{identifier(name)} IS DISTINCT FROM b.{identifier(name)}"


def _key_text(letter: str, keys: Sequence[str]) -> str:
    parts = [f"'{key.replace(chr(39), chr(39) * 2)}=' || CAST({letter}.{identifier(key)} AS VARCHAR)" for key in keys]
    return " || ', ' || ".join(parts)
