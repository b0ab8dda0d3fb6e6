"""What a PostgreSQL database accepts as names and text, and how it compares values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.engines.postgres.catalog import NAME_BYTES
from target_warehouse.engines.postgres.types import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_warehouse.engines.postgres.server import Server

#: Types that ADBC reads without loss.
_ARROW_TYPES = (
    *("smallint", "integer", "bigint", "double precision", "real", "boolean", "text", "character", "character varying"),
    *("date", "timestamp without time zone", "timestamp with time zone", "bytea"),
)


class PostgresDialect:
    """Case-sensitive names of at most 63 bytes; text in the encoding of the database."""

    stores_nul = False
    most_name_bytes: int | None = NAME_BYTES
    ignores_case = False

    def __init__(self, server: Server) -> None:
        self._server = server
        self._encoding = server.encoding
        self.stores_unicode = server.encoding.is_full

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:
        """The characters that the server refuses to convert; see the protocol."""
        if self.stores_unicode:
            return frozenset()
        with self._server.reading("characters cannot be checked") as connection:
            return self._encoding.lacking(connection, texts)

    def escaped(self, text: str) -> str:
        """The text with escapes, without a query; see the protocol."""
        return self._encoding.escaped(text)

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:
        """The names of system columns, and names that the encoding lacks; see the protocol."""
        names = list(names)
        return self.unusable_names(names) | self._encoding.system_columns.intersection(names)

    def unusable_names(self, names: Iterable[str]) -> frozenset[str]:
        """The names that the encoding lacks."""
        with self._server.reading("names cannot be checked") as connection:
            return self._encoding.unusable_names(connection, names)

    def comparable(self, column: str, column_type: str, *, as_text: bool) -> str:
        """The expression by which a column is compared; see the protocol."""
        is_list = column_type.endswith("[]")
        if as_text and plain(column_type).startswith(("timestamp ", "date")) and not is_list:
            return f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"
        if as_text:
            return f"CAST({exact(column, column_type)} AS text)"
        has_equality = plain(column_type) in (*_ARROW_TYPES, "numeric", "jsonb")
        return column if has_equality else f"CAST({column} AS text)"


def exact(column: str, column_type: str) -> str:
    """The expression that reads a quoted column into Arrow without loss."""
    if column_type.endswith("[]"):
        return f"CAST(to_jsonb({column}) AS text)"
    if plain(column_type) == "numeric":
        return f"CAST(trim_scale({column}) AS text)"
    return column if plain(column_type) in _ARROW_TYPES else f"CAST({column} AS text)"
