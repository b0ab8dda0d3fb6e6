"""The Python interface: load Singer messages, and read a warehouse.

The settings are those of the README, as a dictionary; environment variables and files are not read. Errors are
`WarehouseError`s with one sentence. Signals, the garbage collector and Arrow's memory pool stay as the process has
them; the commands `target-warehouse` and `warehouse` change them for themselves.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from target_warehouse.engines import open_engine
from target_warehouse.settings import Settings, check_types
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.engines.protocol import Counts, Engine

_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Loaded:
    """What one call of `load_messages` has loaded.

    `state` is the newest STATE whose records are all committed, or None. `counts` are the rows of each stream as the
    database reports them, `rejected` the number of its records that were rejected.
    """

    state: dict[str, Any] | None
    counts: dict[str, Counts]
    rejected: dict[str, int]


def load_messages(
    messages: IO[bytes] | IO[str] | Iterable[bytes | str | Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    on_state: Callable[[dict[str, Any]], None] | None = None,
) -> Loaded:
    """Load Singer messages to their end.

    `messages` is an open file, a pipe, a file in memory, or an iterable of lines or of messages as dictionaries; it is
    read in another thread. `on_state` is called with every STATE whose records are committed, as the command prints it;
    after an error, the last one given to it is the state to go on from.

    Raises:
        WarehouseError: the input, a setting or the database is at fault; what was committed stays.
    """
    check_types(config)
    target = TargetWarehouse(config=dict(config))
    last: list[dict[str, Any]] = []

    def take(state: dict[str, Any]) -> None:
        last[:] = [state]
        if on_state:
            on_state(state)

    target.write_state = take
    target.run(cast("IO[str]", messages if hasattr(messages, "read") else map(_line, messages)))
    loads = target.committer.loads
    return Loaded(
        last[0] if last else None,
        {name: load.counts for name, load in loads.items()},
        {name: load.rejected for name, load in loads.items() if load.rejected},
    )


def _line(message: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(message, str):
        return message.rstrip("\n").encode("utf-8", "surrogatepass") + b"\n"
    return message.rstrip(b"\n") + b"\n" if isinstance(message, bytes) else _encoder.encode(message) + b"\n"


class Warehouse:
    """A warehouse that is open for reading.

    Tables are those of the schema of the settings; they have their names in the database.
    """

    def __init__(self, engine: Engine, schema: str) -> None:
        self._engine = engine
        self._schema = schema or None

    def tables(self) -> list[str]:
        """The names of the tables."""
        return self._engine.table_names(self._schema)

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table, in order, with the database's names of their types; empty if there is no table."""
        return self._engine.column_types(self._schema, table)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT in the database's own SQL.

        Raises:
            WarehouseError: the database refused.
        """
        return self._engine.query(sql)

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, live_only: bool = True
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """The rows of a table as Arrow batches, of bounded size; without those marked as deleted if `live_only`.

        Values are exact: a column has the Arrow type that holds all its values, or else text.
        """
        names = self.columns(table) if columns is None else columns
        return self._engine.read(self._schema, table, list(names), live_only=live_only)


@contextmanager
def open_warehouse(config: Mapping[str, Any]) -> Iterator[Warehouse]:
    """Open the warehouse of these settings for reading, for the time of a `with` block.

    Raises:
        WarehouseError: it does not exist, or cannot be opened.
    """
    settings = Settings.from_config(config)
    with closing(open_engine(settings, read_only=True)) as engine:
        yield Warehouse(engine, settings.default_target_schema)
