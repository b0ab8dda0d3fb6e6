"""Which stream a table belongs to: two in one table would overwrite one another, and a version delete the other's rows.

A table belongs to the first stream of a run that names it, and over runs to the last one whose records went into it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from target_warehouse.decode.converters import storable
from target_warehouse.destination import check_file_name
from target_warehouse.engines.protocol import HISTORY, REJECTS
from target_warehouse.errors import InputError

if TYPE_CHECKING:
    from target_warehouse.engines.protocol import Engine
    from target_warehouse.load.load_history import LoadHistory
    from target_warehouse.tables.table import Table

_OWN = (HISTORY, REJECTS)
_PREFIX = "target_warehouse_"  # of temporary tables


class Claims:
    """The tables of a run, each with its stream. `duckdb_path` is the warehouse's file, if it is one."""

    def __init__(self, engine: Engine, history: LoadHistory, duckdb_path: str | None) -> None:
        self._engine = engine
        self._history = history
        self._path = duckdb_path
        self._before = {engine.place(*table): stream for table, stream in history.loaded.items()}
        self._now: dict[tuple[str, str], str] = {}

    def claim(self, stream: str, table: Table) -> None:
        """Have the table for this stream.

        Raises:
            InputError: it is another stream's, or one of the target's own.
            SettingsError: its schema cannot be told from its DuckDB file.
        """
        _check_name(stream, table.name)
        check_file_name(self._path, table.schema)
        place, name = self._engine.place(table.schema, table.name), self._history.escaped(storable(stream))
        owner = self._now.get(place, name)
        if owner != name:
            raise InputError(_clash(name, owner, ".".join(place)))
        owner = self._before.get(place, name)
        if owner != name:
            raise InputError(_clash_with_earlier_run(name, owner, ".".join(place)))
        self._now[place] = name


def _check_name(stream: str, table: str) -> None:
    name = table.casefold()
    if name in _OWN or name.startswith(_PREFIX):
        msg = (
            f"The stream {storable(stream)} would be loaded into the table {storable(table)}, which is a name of the "
            f"target's own tables: {_rename(stream)}."
        )
        raise InputError(msg)


def _clash(stream: str, owner: str, table: str) -> str:
    return (
        f"The stream {stream} would be loaded into the table {table}, into which the stream {owner} is loaded, and "
        f"each would overwrite the other; of the two only {owner} is loaded: {_rename(stream)}, or, if their first "
        "parts name schemas, leave the setting default_target_schema empty."
    )


def _clash_with_earlier_run(stream: str, owner: str, table: str) -> str:
    alias = json.dumps({stream: {"__alias__": owner}}, ensure_ascii=False)
    return (
        f"The stream {stream} would be loaded into the table {table}, into which the stream {owner} was loaded before, "
        f"and each would overwrite the other: {_rename(stream)}, or, if it is the same stream with a new name, have it "
        f"keep the old one by {alias} there."
    )


def _rename(stream: str) -> str:
    alias = json.dumps({stream: {"__alias__": "other_name"}}, ensure_ascii=False)
    return f"give it another name by the setting stream_maps, as in {alias}"
