"""Which rows of a table an ACTIVATE_VERSION is about, where a tap has not read all of them: our extension of Singer.

    {"type": "ACTIVATE_VERSION", "stream": "associations", "version": 0, "scope": {"version": 1795464000000,
     "columns": ["from_object_type", "to_object_type"], "values": [["deals", "contacts"]]}}

The rows with one of these values in the columns, and of a version before the scope's, are gone; no other row is
touched. The message's own version is below all others, so a target that does not know scopes marks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import storable
from target_warehouse.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.tables.table import Table

_MOST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Scope:
    """The rows with one of `values`, each a value for each of the `columns`, which are properties of the key."""

    version: int
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> Scope | None:
        """The scope of an ACTIVATE_VERSION; None if it is about the whole table.

        Raises:
            InputError: it has a scope that says something else.
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
            or any(len(each) != len(columns) or None in each for each in values)
            or not all(isinstance(name, str) for name in columns)
        ):
            raise _misfit(message)
        return cls(version, columns, values)

    def check(self, table: Table) -> None:
        """Check that the scope is by keys of the table: no row is without them.

        Raises:
            InputError: it is not.
        """
        for name in self.columns:
            if name not in table.keys:
                msg = (
                    f"The message ACTIVATE_VERSION of the table {table.name} is about rows by their {storable(name)}, "
                    "which is no key of the stream: leave that property as the tap sends it, or set the tap's "
                    "scoped_versions to false."
                )
                raise InputError(msg)

    def records(self) -> list[dict[str, Any]]:
        """A record for each group of values."""
        return [dict(zip(self.columns, each, strict=True)) for each in self.values]


def _misfit(message: Mapping[str, Any]) -> InputError:
    return InputError(
        f"The scope of the message ACTIVATE_VERSION of the stream {message.get('stream')} is not an object with a "
        "version, columns and values."
    )
