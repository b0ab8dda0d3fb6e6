"""The owner of each table: one stream.

Two streams in one table would overwrite each other's rows, and an ACTIVATE_VERSION of one would delete the rows of the
other. Within a run, a table belongs to the first stream that names it; across runs, to the stream that was loaded into
it last.
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
    """The tables of a run and their streams. `duckdb_path` is the warehouse's DuckDB file, if it has one."""

    def __init__(self, engine: Engine, history: LoadHistory, duckdb_path: str | None) -> None:
        self._engine = engine
        self._history = history
        self._path = duckdb_path
        self._before = {engine.place(*table): stream for table, stream in history.loaded.items()}
        self._now: dict[tuple[str, str], str] = {}

    def claim(self, stream: str, table: Table) -> None:
        """Claim the table for this stream.

        Raises:
            InputError: the table belongs to another stream, or has a name of the target's own tables.
            SettingsError: its schema has the name of the DuckDB file.
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
            f"The stream {storable(stream)} cannot be loaded into the table {storable(table)}, because the target uses "
            f"that name for its own tables: {_rename(stream)}."
        )
        raise InputError(msg)


def _clash(stream: str, owner: str, table: str) -> str:
    return (
        f"The stream {stream} cannot be loaded into the table {table}, because the stream {owner} is loaded into it, "
        f"and each would overwrite the other: {_rename(stream)}, or, if the first parts of their names are schemas, "
        "leave the setting default_target_schema empty."
    )


def _clash_with_earlier_run(stream: str, owner: str, table: str) -> str:
    alias = json.dumps({stream: {"__alias__": owner}}, ensure_ascii=False)
    return (
        f"The stream {stream} cannot be loaded into the table {table}, because the stream {owner} was loaded into it "
        f"before, and each would overwrite the other: {_rename(stream)}, or, if it is the same stream under a new "
        f"name, keep the old name by setting stream_maps to {alias}."
    )


def _rename(stream: str) -> str:
    alias = json.dumps({stream: {"__alias__": "other_name"}}, ensure_ascii=False)
    return f"give it another name by the setting stream_maps, for example {alias}"
