"""The way of one stream's batches into its table: to Arrow, widening columns and rejecting records on the way.

A batch is written in one transaction, or in pieces if the database refuses a value in it. A record that cannot become a
row is rejected with a reason, and everything else is loaded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from target_warehouse.decode.arrow_columns import Losses, MisfitError, sift, to_table
from target_warehouse.decode.converters import UnfitError, json_line
from target_warehouse.decode.record_keys import key_reader
from target_warehouse.engines.protocol import Counts
from target_warehouse.errors import InputError, LoadError, RefusedDataError
from target_warehouse.load.last_per_key import outcomes_by_key
from target_warehouse.load.writes import Write, write_in_parts
from target_warehouse.tables.places import too_exact
from target_warehouse.tables.table import TABLE_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from target_warehouse.engines.protocol import Transaction
    from target_warehouse.load.committer import Committer
    from target_warehouse.load.fast_batch import FastBatch
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.load_history import StreamLoad
    from target_warehouse.load.scope import Scope
    from target_warehouse.tables.table import Column

_NUL = "NUL replaced by U+FFFD"
_CUT = "digits beyond microseconds, or the UTC offset, cut off"
_OUTDATED = (
    "Stream %s: the table has rows of a newer version than the %d of the ACTIVATE_VERSION message, so no rows count as "
    "deleted. If another state writes this table, give it a schema of its own; otherwise a clock or a state was "
    "wrong: set %s to NULL where it is above %d, and run with --full-refresh."
)


class StreamWriter:
    """Writes the batches of one stream's load. `load.table` is its table, which becomes wider where values need it.

    `names` are the properties in the stream's schema.
    """

    def __init__(
        self,
        committer: Committer,
        load: StreamLoad,
        names: Collection[str],
        logger: logging.Logger,
        *,
        replaces_nul: bool,
    ) -> None:
        self.load = load
        self._names = names
        self._logger = logger
        self._committer = committer
        self._losses = Losses(replaces_nul=replaces_nul)

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch of the slow path.

        Raises:
            LoadError: the database refused the batch; nothing of it was written.
        """
        writes, written = self._writes(list(records))
        try:
            self._commit(writes)
        except RefusedDataError as refused:
            write_in_parts(written, refused, self._write_part, self.load.reject)
            self._commit([])

    def write_fast(self, batch: FastBatch) -> None:
        """Write a batch of the fast path.

        Raises:
            RefusedDataError: the database refuses a value in it; nothing was written, and the slow path finds it.
        """
        rows = batch.rows()
        if rows.num_rows < len(batch.groups) * self._committer.engine.least_chunk:
            rows = rows.combine_chunks()
        self._commit([Write("upsert" if self.load.table.keys else "append", rows, self.load.table)])
        self._report_losses(batch.losses)

    def activate_version(self, version: int, scope: Scope | None = None) -> None:
        """Delete or mark the rows of older versions; with a scope, only rows in it.

        Rows of a newer version prevent that, which is a warning.

        Raises:
            InputError: the scope does not fit the table.
            LoadError: another run has written to the table in the meantime.
        """
        table, rows = self.load.table, None
        if scope is not None:
            scope.check(table)
            columns = [table.by_property[name] for name in scope.columns]
            try:
                version, rows = scope.version, self._arrow(scope.records(), columns)
            except MisfitError:
                names = " and ".join(scope.columns)
                msg = (
                    f"The scope of the ACTIVATE_VERSION message of the stream {self.load.stream} does not fit {names}."
                )
                raise InputError(msg) from None
        hard_delete = self._committer.settings.hard_delete
        is_outdated = False

        def work(transaction: Transaction) -> Counts:
            nonlocal is_outdated
            counts = transaction.activate_version(table, version, hard_delete=hard_delete, scope=rows)
            may_be_outdated = rows is not None or not counts.deleted  # a scope has several groups of rows
            is_outdated = may_be_outdated and transaction.has_newer(table, version, scope=rows)
            if counts.deleted or is_outdated:
                self._committer.check_alone(transaction, self.load)
            return counts

        self._committer.commit(self.load, work, has_rows=False)
        if is_outdated:
            self._logger.warning(_OUTDATED, self.load.stream, version, TABLE_VERSION, version)

    def has_outdated(self, version: int) -> bool:
        """Whether the table has rows that `activate_version` would delete or mark."""
        committer = self._committer
        with committer.engine.transaction() as transaction:
            return transaction.has_outdated(self.load.table, version, hard_delete=committer.settings.hard_delete)

    def report(self) -> None:
        """Log the number of values of each property that were not stored exactly."""
        for lost, counts in ((_NUL, self._losses.nul), (_CUT, self._losses.cut)):
            for name, count in counts.items():
                level = logging.WARNING if lost is _CUT else logging.INFO
                self._logger.log(level, "Stream %s, property %s: %s in %d values.", self.load.stream, name, lost, count)

    def _write_part(self, records: Sequence[Record]) -> None:
        self._commit(self._writes(list(records))[0], is_last=False)

    def _writes(self, records: list[Record]) -> tuple[list[Write], list[Record]]:
        """The writes for the records, and the records they are made of: those that can become rows.

        Columns that are too narrow become wider, and the other records are rejected. A rejected record must not hide an
        earlier record of its key, so the outcomes are computed again without it.
        """
        if not self._committer.engine.dialect.stores_unicode:
            records = self._storable(records)
        while True:
            try:
                return self._reduced(records), records
            except MisfitError as misfit:
                if misfit.narrow:
                    self._widen(misfit)
                if misfit.unfit:
                    records = self._without_unfit(records, misfit)

    def _widen(self, misfit: MisfitError) -> None:
        before, load = self.load.table, self.load
        load.table = self._committer.engine.widen(before, misfit.narrow)
        if load.table.columns == before.columns:
            names = " and ".join(misfit.narrow)
            raise LoadError(f"No column can hold the values of {names} of the stream {load.stream}.") from misfit

    def _without_unfit(self, records: list[Record], misfit: MisfitError) -> list[Record]:
        """The records whose values fit their columns; the others are rejected."""
        kept, bad = sift(records, misfit.unfit, self.load.table.keys)
        for record, reason in bad:
            self.load.reject(record, reason)
        if not bad:
            names = " and ".join(column.property for column in misfit.unfit)
            msg = (
                f"The values of {names} of the stream {self.load.stream} fit their columns one by one, but not as a "
                "batch."
            )
            raise LoadError(msg) from misfit
        return kept

    def _storable(self, records: list[Record]) -> list[Record]:
        """The records without characters that the database's encoding lacks; the others are rejected."""
        names = self._names
        lacking = self._committer.engine.dialect.lacking(
            json_line(value) for record in records for name, value in record.items() if name in names
        )
        kept = []
        for record in records:
            named = (name for name in record if name in names and lacking.intersection(json_line(record[name])))
            if bad := next(named, None) if lacking else None:
                self.load.reject(record, f"its property {bad} has a character that the database's encoding lacks")
            else:
                kept.append(record)
        return kept

    def _reduced(self, records: list[Record]) -> list[Write]:
        """The writes for the outcome of each key.

        Raises:
            MisfitError: a value does not fit its column.
        """
        table = self.load.table
        keys = table.key_columns
        key_of = key_reader(keys, replace_nul=self._losses.replaces_nul)
        hard_delete = self._committer.settings.hard_delete
        try:
            outcomes = outcomes_by_key(records, table.keys, hard_delete=hard_delete, key_of=key_of)
        except (UnfitError, TypeError):  # a key does not fit its column, or is a list or an object
            raise MisfitError(keys, {}) from None
        writes = []
        if outcomes.renewed:
            writes.append(Write("remove", self._arrow(outcomes.renewed, keys), table, is_of_later_rows=True))
        if outcomes.rows:
            rows = self._arrow(outcomes.rows, table.columns)
            writes.append(Write("upsert" if table.keys else "append", rows, table))
        for carried, group in outcomes.partial.items():
            part = table.of(frozenset(carried))
            writes.append(Write("upsert", self._arrow(group, part.columns), part))
        if outcomes.removed:
            writes.append(Write("remove", self._arrow(outcomes.removed, keys), table))
        return writes

    def _commit(self, writes: Sequence[Write], *, is_last: bool = True) -> None:
        keys = [write.rows for write in writes if not write.is_of_later_rows]

        def work(transaction: Transaction) -> Counts:
            if self.load.table.keys:
                transaction.check_keys(self.load.table, keys)
            return sum((write.apply(transaction) for write in writes), Counts())

        has_rows = any(write.rows.num_rows for write in writes)
        self._committer.commit(self.load, work, has_rows=has_rows, is_last=is_last)

    def _arrow(self, records: Sequence[Record], columns: Sequence[Column]) -> pa.Table:
        losses = Losses(replaces_nul=self._losses.replaces_nul)
        rows = to_table(records, columns, losses)
        if narrow := too_exact(rows, columns):
            raise MisfitError((), {column.property: "places" for column in narrow})
        self._report_losses(losses)
        return rows

    def _report_losses(self, losses: Losses) -> None:
        """Count the values that are not stored exactly; warn once for each property."""
        for name in sorted(losses.nul.keys() - self._losses.nul.keys()):
            if not self._committer.settings.sanitize_null_text_characters:
                self._logger.warning(
                    "Stream %s, property %s: PostgreSQL cannot store the character NUL in text; each is replaced by "
                    "U+FFFD.",
                    self.load.stream,
                    name,
                )
        for name in sorted(losses.cut.keys() - self._losses.cut.keys()):
            self._logger.warning(
                "Stream %s, property %s: its column holds microseconds, and times of day without a UTC offset; the "
                "rest of the values is cut. To keep all of it, load the property as text, without a format in the "
                "schema.",
                self.load.stream,
                name,
            )
        self._losses.update(losses)
