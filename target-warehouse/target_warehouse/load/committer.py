"""The commits of one run: rows, rejected records and load history in one transaction, and the STATE they let through.

The warehouse is opened when it is first needed. A stream's row of load history is written when its load begins, and
again in every commit, so its counts are those of the table even if the run is killed.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from target_warehouse.engines import open_engine
from target_warehouse.errors import (
    ConnectionFailedError,
    LoadError,
    RefusedDataError,
    RetryTransactionError,
    WarehouseError,
)
from target_warehouse.load import failed_starts
from target_warehouse.load.claims import Claims
from target_warehouse.load.load_history import RUNNING, LoadHistory, StreamLoad
from target_warehouse.load.rejected_records import rejected_records_table, rejected_row, rejection_summary
from target_warehouse.load.state_gate import StateGate
from target_warehouse.redaction import redacted_configuration

if TYPE_CHECKING:
    import datetime as dt
    import logging
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.engines.protocol import Counts, Engine, Transaction
    from target_warehouse.settings import Settings
    from target_warehouse.tables.table import Table


class Committer:
    """The open warehouse of a run, the loads of its streams, and what of them is not committed yet.

    The input side is given as functions: `unbroken` is a block that no signal may interrupt, `opened` is called when
    the warehouse has been opened, `line_bytes` returns the length of the input line that is being read, and
    `read_slowly` reads a group's lines by the slow path. `owns_process`: see `open_engine`.
    `began_at`: see `LoadHistory.begun`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        settings: Settings,
        logger: logging.Logger,
        *,
        unbroken: Callable[[], AbstractContextManager[None]],
        opened: Callable[[], None],
        line_bytes: Callable[[], int],
        read_slowly: Callable[[RecordGroup], None],
        owns_process: bool = False,
        began_at: dt.datetime,
    ) -> None:
        self.settings = settings
        self.loads: dict[str, StreamLoad] = {}
        self.gate = StateGate()
        #: Bytes of input lines, over all streams.
        self.pending_bytes = 0
        self.start = failed_starts.Start()
        self._config = config
        self._logger = logger
        self._unbroken = unbroken
        self._opened = opened
        self._line_bytes = line_bytes
        self._read_slowly = read_slowly
        self._owns_process = owns_process
        self._began_at = began_at
        self._run_id = uuid.uuid4().hex
        self._engine: Engine | None = None
        self._history: LoadHistory
        self._claims: Claims
        self._rejects: Table | None = None
        self._unfinished: str | None = None

    @property
    def engine(self) -> Engine:
        """The warehouse, opened when first needed."""
        if self._engine is None:
            self._engine = open_engine(self.settings, owns_process=self._owns_process)
            self._opened()
            configuration = redacted_configuration(self._config, self.settings)
            schema = self.settings.default_target_schema
            self._history = LoadHistory.begun(self._engine, self._run_id, schema, configuration, since=self._began_at)
            self._claims = Claims(self._engine, self._history, self.settings.duckdb_path)
        return self._engine

    def prepare(self, stream: str, table: Table) -> StreamLoad:
        """Claim the table for the stream, create it or add its missing columns, and return the stream's load.

        Raises:
            InputError, SettingsError: the table cannot be this stream's; it was not touched.
            LoadError: the database refused.
        """
        engine = self.engine  # the first stream opens it
        self._claims.claim(stream, table)
        if not self._config.get("add_record_metadata", True):
            table = table.with_mark_of(engine.column_types(*engine.place(table.schema, table.name)))
        return self.load_of(stream, engine.prepare(table))

    def load_of(self, stream: str, table: Table) -> StreamLoad:
        """The load of a stream into this table; it is written to the history when it is created."""
        load = self.loads.get(stream)
        if load is None:
            load = self.loads[stream] = StreamLoad(stream, table)
            with self._unbroken(), self.engine.transaction() as transaction:
                self._history.write(transaction, [(load, RUNNING, None)])
        load.table = table
        return load

    def count_record(self, load: StreamLoad) -> None:
        """Note that the record of the current line was read and is not committed."""
        self.count(load, 1, self._line_bytes())

    def count(self, load: StreamLoad, rows: int, size: int) -> None:
        """Note that records, of `size` bytes of input, were read and are not committed."""
        load.rows_read += rows
        load.size += size
        load.pending_bytes += size
        self.pending_bytes += size
        self.gate.record(load.stream)

    def load_slowly(self, load: StreamLoad, groups: Sequence[RecordGroup], write: Callable[[], None]) -> None:
        """Load pending groups that the database refused by the slow path; `write` writes the batch that is left then.

        Until all of them are written, no later STATE is let through.
        """
        load.rows_read -= sum(group.rows for group in groups)
        load.size -= load.pending_bytes
        self._settle(load)
        self._unfinished = load.stream
        for group in groups:
            self._read_slowly(group)
        write()
        self._unfinished = None
        self.gate.committed(load.stream)

    def commit(
        self, load: StreamLoad, work: Callable[[Transaction], Counts], *, has_rows: bool, is_last: bool = True
    ) -> None:
        """Do the work and write the stream's history in one transaction; signals wait for its end.

        The first work that `has_rows` replaces the rows of earlier runs, if the load method is `overwrite`: a stream
        whose records are all rejected keeps them, like one without records. The last commit of a batch also writes the
        rejected records; after it, no record of the stream is pending.

        Raises:
            LoadError: the database refused; if it is a `RefusedDataError`, because of a record.
        """
        rejected = self._rejected_rows(load) if is_last and load.unwritten else None
        clears = has_rows and not load.is_cleared and self._config.get("load_method") == "overwrite"
        with self._unbroken():
            load.counts = self._committed(load, work, rejected, clears=clears)
            load.is_cleared = load.is_cleared or clears
            if is_last:
                load.unwritten.clear()
                self._settle(load)
                if load.stream != self._unfinished:
                    self.gate.committed(load.stream)

    def check_alone(self, transaction: Transaction, load: StreamLoad) -> None:
        """Check that no other run has written to the stream's table since this run began; see `LoadHistory`."""
        self._history.check_alone(transaction, load)

    def _settle(self, load: StreamLoad) -> None:
        self.pending_bytes -= load.pending_bytes
        load.pending_bytes = 0

    def _committed(
        self,
        load: StreamLoad,
        work: Callable[[Transaction], Counts],
        rejected: tuple[Table, pa.Table] | None,
        *,
        clears: bool,
    ) -> Counts:
        """Commit the work, as often as the engine asks for it; return the load's counts after it."""
        while True:
            is_clearing = clears
            try:
                with self.engine.transaction() as transaction:
                    counts = load.counts
                    if clears:
                        counts += transaction.clear(load.table)
                    is_clearing = False
                    counts += work(transaction)
                    if rejected:
                        transaction.append(*rejected)
                    self._history.write(transaction, [(load, RUNNING, None)], counts, keeps_rejected=bool(rejected))
                    return counts
            except RetryTransactionError:
                continue
            except RefusedDataError as refused:
                if is_clearing:  # no record is to blame
                    raise _cannot_clear(load) from refused
                raise

    def _rejected_rows(self, load: StreamLoad) -> tuple[Table, pa.Table]:
        """The table of rejected records, created if it is missing, and the rows for it."""
        from target_warehouse.decode.arrow_columns import Losses, to_table  # `--about` needs no Arrow

        if self._rejects is None:
            self._rejects = self.engine.prepare(rejected_records_table(self.settings.default_target_schema))
        escaped = self.engine.dialect.escaped
        rows = [
            {name: escaped(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in (rejected_row(self._run_id, load.stream, record, reason) for record, reason in load.unwritten)
        ]
        return self._rejects, to_table(rows, self._rejects.columns, Losses())

    def check_rejected(self) -> None:
        """Log a warning about the run's rejected records, if there are any.

        Raises:
            RejectedRecordsError: there are more than the setting `max_rejected` allows.
        """
        if loads := [load for load in self.loads.values() if load.rejected]:
            is_kept, limit = not self.settings.dry_run, self.settings.max_rejected
            self._logger.warning("%s", rejection_summary(loads, self._history.table.schema, limit, is_kept=is_kept))

    def finish(self, error: BaseException | None, *, tidy_up: bool) -> None:
        """Write every stream's final history row and close the warehouse; `error` ended the run, if any."""
        if self._engine is None:
            return
        rows = [(load, *load.outcome(error)) for load in self.loads.values()]
        notes = failed_starts.own_notes(os.environ) if rows and not self.settings.dry_run else []
        try:
            if rows and not isinstance(error, ConnectionFailedError):  # there is no connection to write them
                with self._engine.transaction() as transaction:
                    self._history.write(transaction, rows)
                    self._history.write_failed_starts(transaction, list(self.loads.values()), notes)
                failed_starts.remove(os.environ, notes)
                self.start.is_recorded = True
        except WarehouseError as refused:
            if error is None:
                raise
            self._logger.warning("The failure could not be written to %s: %s", self._history.table.name, refused)
        finally:
            if tidy_up and not isinstance(error, ConnectionFailedError):
                self._engine.tidy_up()
            self._engine.close()
            self._engine = None


def _cannot_clear(load: StreamLoad) -> LoadError:
    return LoadError(
        f"The load method overwrite cannot delete the rows of the table {load.table.name}, because a foreign key, a "
        "constraint or a trigger of the database keeps them. Drop it, or set load_method to upsert. The table is "
        "unchanged."
    )
