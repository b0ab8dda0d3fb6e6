"""What DuckDB accepts as names and text, and how it compares values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.engines.duckdb.columns import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable


class DuckDBDialect:
    """Names of any length, in which case does not count; text is UTF-8."""

    stores_nul = True
    stores_unicode = True
    most_name_bytes: int | None = None
    ignores_case = True

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as the protocol has it
        """Return no character: text is UTF-8."""
        return frozenset()

    def escaped(self, text: str) -> str:
        """Return the text unchanged: every character can be stored."""
        return text

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as the protocol has it
        """Return no name: DuckDB reserves none."""
        return frozenset()

    def comparable(self, column: str, column_type: str, *, as_text: bool) -> str:
        """The expression by which a column is compared; see the protocol."""
        return comparable(column, column_type, as_text=as_text)
