"""What a comparison found, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from target_warehouse.shown import shown

_SHOWN = 60  # characters of a value


@dataclass
class ColumnDifference:
    """A column that differs: the number of rows, and (key, value in A, value in B) of the first few."""

    column: str
    rows: int
    samples: list[tuple[str, str, str]]


@dataclass
class TableDifference:
    """How a table of A differs from that of B. Keys are text, `name=value` for each key column."""

    table: str
    keys: list[str]
    rows_a: int = 0
    rows_b: int = 0
    only_in_a: int = 0
    only_in_b: int = 0
    keys_only_in_a: list[str] = field(default_factory=list)
    keys_only_in_b: list[str] = field(default_factory=list)
    columns_only_in_a: list[str] = field(default_factory=list)
    columns_only_in_b: list[str] = field(default_factory=list)
    columns: list[ColumnDifference] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not (
            self.only_in_a or self.only_in_b or self.columns_only_in_a or self.columns_only_in_b or self.columns
        )


@dataclass
class Comparison:
    """The tables that both sides have, and the names of tables that only one has."""

    tables: list[TableDifference]
    tables_only_in_a: list[str]
    tables_only_in_b: list[str]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not (self.tables_only_in_a or self.tables_only_in_b) and all(table.is_same for table in self.tables)


def render(comparison: Comparison, a: str, b: str) -> str:
    """The comparison as text: a line for each table, followed by its differences."""
    lines = [f"A is {a}, B is {b}."]
    for letter, names in (("A", comparison.tables_only_in_a), ("B", comparison.tables_only_in_b)):
        if names:
            lines.append(f"Tables only in {letter}: {', '.join(names)}")
    for table in comparison.tables:
        verdict = "the same" if table.is_same else "different"
        rows = (
            f"{table.rows_a:,} rows" if table.rows_a == table.rows_b else f"{table.rows_a:,} and {table.rows_b:,} rows"
        )
        lines.append(f"{table.table}: {verdict}, {rows}, matched by {', '.join(table.keys)}")
        for letter, count, keys, columns in (
            ("A", table.only_in_a, table.keys_only_in_a, table.columns_only_in_a),
            ("B", table.only_in_b, table.keys_only_in_b, table.columns_only_in_b),
        ):
            if count:
                more = ", …" if count > len(keys) else ""
                lines.append(f"    only in {letter}: {count:,} rows: {'; '.join(keys)}{more}")
            if columns:
                lines.append(f"    only in {letter}: columns {', '.join(columns)}")
        for column in table.columns:
            lines.append(f"    {column.column}: {column.rows:,} rows differ")
            lines += [f"        {key}: {left} in A, {right} in B" for key, left, right in column.samples]
    return "\n".join(shown(line, 10_000) for line in lines)


def shown_value(value: object) -> str:
    """A value of a table as text, without control characters and cut at the end."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    text = "null" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
