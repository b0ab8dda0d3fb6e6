"""The scope of an ACTIVATE_VERSION of a tap that has read only some rows of a table: our extension of Singer.

    {"type": "ACTIVATE_VERSION", "stream": "associations", "version": 0, "scope": {"version": 1795464000000,
     "columns": ["from_object_type", "to_object_type"], "values": [["deals", "contacts"]]}}

Only rows that have one of these values in the columns and a version older than the scope's are deleted. The version of
the message itself is lower than all others, so a target that does not know scopes deletes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import UnfitError, storable, to_whole
from target_warehouse.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.tables.table import Table

_MOST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Scope:
    """The rows with one of `values` in `columns`, which are properties of the key; each has a value per column."""

    version: int
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> Scope | None:
        """The scope of an ACTIVATE_VERSION message; None if the message is about the whole table.

        Raises:
            InputError: the scope is malformed.
        """
        if "scope" not in message:
            return None
        try:
            raw = message["scope"]
            version, columns, values = raw["version"], tuple(raw["columns"]), tuple(map(tuple, raw["values"]))
        except (KeyError, TypeError):
            raise _misfit(message) from None
        is_whole = isinstance(version, int) and not isinstance(version, bool) and 0 <= version <= _MOST_VERSION
        if (
            not is_whole
            or not columns
            or any(len(row) != len(columns) or None in row for row in values)
            or not all(isinstance(name, str) for name in columns)
        ):
            raise _misfit(message)
        return cls(version, columns, values)

    def check(self, table: Table) -> None:
        """Check that the columns are keys of the table, which no row lacks.

        Raises:
            InputError: a column is not a key.
        """
        for name in self.columns:
            if name not in table.keys:
                msg = (
                    f"The ACTIVATE_VERSION message of the table {table.name} selects rows by {storable(name)}, which "
                    "is not a key of the stream: leave that property as the tap sends it, or set the tap's setting "
                    "scoped_versions to false."
                )
                raise InputError(msg)

    def records(self) -> list[dict[str, Any]]:
        """One record for each tuple of values."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


def version_of(message: Mapping[str, Any]) -> int:
    """The version of an ACTIVATE_VERSION message.

    Raises:
        InputError: it is not an integer.
    """
    try:
        return to_whole(message["version"])
    except UnfitError:
        msg = f"The version of the ACTIVATE_VERSION message of the stream {message['stream']} is not an integer."
        raise InputError(msg) from None


def _misfit(message: Mapping[str, Any]) -> InputError:
    return InputError(
        f"The scope of the ACTIVATE_VERSION message of the stream {message.get('stream')} is not an object with a "
        "version, columns and values."
    )
