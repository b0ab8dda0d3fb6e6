"""The sink of one stream: collects records, converts them to Arrow tables, and writes a batch in one transaction.

A batch takes one of two paths, never both. On the fast path it consists of record groups that are Arrow already
(`record_groups`, `group_decoder`). On the slow path it consists of records that come through the SDK, without its three
slow steps: values are checked and parsed column by column when the batch is made (`arrow_columns`), and the JSON schema
validator only runs for schemas with other constraints. A record that cannot become a row is rejected with a reason, and
everything else is loaded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink

from target_warehouse.decode.arrow_columns import Losses, MisfitError, key_reader, sift, to_table
from target_warehouse.decode.converters import CONVERTERS, UnfitError, json_line, without_nul
from target_warehouse.decode.group_decoder import GroupDecoder
from target_warehouse.engines.protocol import Counts
from target_warehouse.errors import InputError, LoadError, RefusedDataError, WarehouseError
from target_warehouse.load.fast_batch import FastBatch
from target_warehouse.load.last_per_key import outcomes_by_key
from target_warehouse.load.writes import Write, write_in_halves
from target_warehouse.singer.flattening import UNMAPPABLE, why_unmappable
from target_warehouse.singer.schemas import SchemaError
from target_warehouse.singer.validation import RecordChecker
from target_warehouse.tables.own_names import check_own_names
from target_warehouse.tables.places import too_exact
from target_warehouse.tables.table import DELETED_AT, TABLE_VERSION, needs_validator, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from singer_sdk.helpers._batch import BaseBatchFileEncoding
    from singer_sdk.mapper import StreamMap
    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.engines.protocol import Transaction
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.scope import Scope
    from target_warehouse.singer.target import TargetWarehouse
    from target_warehouse.tables.table import Column

_NUL = "NUL replaced by U+FFFD"
_CUT = "digits beyond microseconds, or the UTC offset, cut off"


class WarehouseSink(BatchSink):
    """Loads one stream into its table."""

    def __init__(
        self, target: TargetWarehouse, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        check_own_names(stream_name, schema, key_properties or ())
        super().__init__(target, stream_name, schema, key_properties)
        self._target = target
        settings = target.settings
        self.table = table_of(
            stream_name,
            self.schema,
            self.key_properties,
            default_schema=settings.default_target_schema,
            interpret_encoding=settings.interpret_content_encoding,
        )
        self._names = frozenset(self.table.by_property)
        self._checker: RecordChecker | None = None
        if self.validate_schema and needs_validator(self.schema):
            self._checker = RecordChecker(self.schema)
        self._warned: set[str] = set()
        self._warned_of_deletes = False
        #: Rejected records and their reasons, which wait for the next commit.
        self.rejected: list[tuple[Record | str, str]] = []
        #: Of two keys that differ in a replaced character only, one row would be lost.
        self._rejects_nul_in_keys = not target.engine.stores_nul and not settings.sanitize_null_text_characters
        self._losses = Losses(replaces_nul=settings.sanitize_null_text_characters or not target.engine.stores_nul)
        self.pending_bytes = 0
        self._decoder: GroupDecoder | None = None
        self._fast_batch: FastBatch | None = None

    @property
    def decoder(self) -> GroupDecoder | None:
        """The decoder of the stream's record groups for the current table; None if the slow path must load them."""
        if self._checker or not GroupDecoder.can_decode(self.table):
            return None
        if self._decoder is None or self._decoder.table is not self.table or self._decoder.ignored != self._warned:
            self._decoder = GroupDecoder(
                self.stream_name,
                self.table,
                ignored=self._warned,
                replaces_nul=self._losses.replaces_nul,
                sync_started_at=self.sync_started_at,
            )
        return self._decoder

    @property
    def holds_fast_batch(self) -> bool:
        """Whether the pending batch is one of the fast path."""
        return self._fast_batch is not None

    def take_group(self, group: RecordGroup) -> None:
        """Add a decoded group to the batch."""
        if self._fast_batch is None:
            self._fast_batch = FastBatch(self.table)
        self._fast_batch.add(group)
        self.tally_record_read(group.rows)
        self.record_counter_metric.increment(group.rows)
        self.pending_bytes += group.size

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """None: a record that breaks its schema is rejected by `process_record`, and is not an error."""
        return None

    def setup(self) -> None:
        """Create the table or add its missing columns.

        Raises:
            SchemaError: the schema has no properties, or lacks a key.
        """
        if not self.table.columns:
            raise SchemaError("it has no properties, so there is no table to create")
        if unknown := [key for key in self.table.keys if key not in self._names]:
            raise SchemaError(f"its key {' and '.join(unknown)} is not one of its properties")
        engine = self._target.engine  # the first sink opens it
        try:
            self._target.claims.claim(self.stream_name, self.table)  # before the table is created or changed
        except WarehouseError:
            self._target.commit_all()
            raise
        self.table = engine.prepare(self.table)
        self._target.load_of(self)

    def process_record(self, record: Record, context: dict[str, Any]) -> None:
        """Add the record to the batch, or reject it."""
        reason = self._reason_against(record)
        if reason:
            self.reject(record, reason)
        else:
            super().process_record(record, context)
        self.pending_bytes += self._target.count_record(self)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the batch, the rejected records and the stream's history in one transaction.

        Raises:
            LoadError: the database refused the batch; nothing of it was written.
        """
        if self._fast_batch is not None:
            self._write_fast_batch(self._fast_batch)
            return
        records = context.pop("records", [])
        if "batch_id" not in context:  # records of a BATCH file, which did not pass `process_record`
            self._target.load_of(self).rows_read += len(records)
            records = self._acceptable(records)
        self._write(self._writes(records))
        self.pending_bytes = 0

    def _write_fast_batch(self, batch: FastBatch) -> None:
        """Write the batch; if the database refuses a value in it, load it by the slow path, which finds the record."""
        rows = batch.rows()
        if rows.num_rows < len(batch.groups) * self._target.engine.least_chunk:
            rows = rows.combine_chunks()
        write = Write("upsert" if self.table.keys else "append", rows, ())
        try:
            self._commit([write])
        except RefusedDataError:
            self._fast_batch = None
            self.mark_drained()
            self._target.load_by_slow_path(self, batch.groups)
            return
        self._fast_batch = None
        self.pending_bytes = 0
        self._report_losses(batch.losses)

    def reject(self, record: Record | str, reason: str) -> None:
        """Reject this record, or line; the next commit writes it to the table of rejected records."""
        self.rejected.append((record, reason))
        self._target.load_of(self).reject(reason)

    def _reason_against(self, record: Record) -> str | None:
        """The reason to reject a record, as far as it is known before the batch is made; None if there is none."""
        for key in self.table.keys:
            if record.get(key) is None:
                return f"its key property {key} is {'null' if key in record else 'missing'}"
            if self._rejects_nul_in_keys and without_nul(record[key]) != record[key]:
                return f"its key property {key} has the character NUL, which the database does not store"
        if record.get(DELETED_AT) is not None:
            try:
                CONVERTERS["date-time"](record[DELETED_AT])
            except UnfitError as reason:
                return f"its property {DELETED_AT} {reason}"
            self._warn_of_deletes()
        if not record.keys() <= self._names:
            for name in sorted(record.keys() - self._names - self._warned - {DELETED_AT}):
                self._warned.add(name)
                self.logger.warning(
                    "Stream %s: the property %s is not in the stream's schema and is not loaded.",
                    self.stream_name,
                    name,
                )
        return self._checker.reason_against(record) if self._checker else None

    def _warn_of_deletes(self) -> None:
        """Warn once if delete records neither mark nor remove a row."""
        if self.table.mark or self._target.settings.hard_delete or self._warned_of_deletes:
            return
        self._warned_of_deletes = True
        self.logger.warning(
            "Stream %s: its delete records mark no row, because the table has no column %s. Set add_record_metadata "
            "or hard_delete.",
            self.stream_name,
            DELETED_AT,
        )

    def _acceptable(self, records: Iterable[Record]) -> list[Record]:
        accepted = []
        for record in records:
            reason = self._reason_against(record)
            if reason:
                self.reject(record, reason)
            else:
                accepted.append(record)
        return accepted

    def _writes(self, records: list[Record]) -> list[Write]:
        """The writes for the records; columns that are too narrow become wider, and invalid records are rejected.

        A rejected record must not hide an earlier record of its key, so the outcomes are computed again without it.
        """
        if not self._target.engine.stores_unicode:
            records = self._storable(records)
        while True:
            try:
                return self._reduced(records)
            except MisfitError as misfit:
                if misfit.narrow:
                    before, self.table = self.table, self._target.engine.widen(self.table, misfit.narrow)
                    if self.table.columns == before.columns:
                        names = " and ".join(misfit.narrow)
                        msg = f"No column can hold the values of {names} of the stream {self.stream_name}."
                        raise LoadError(msg) from misfit
                if misfit.unfit:
                    count = len(records)
                    records, bad = sift(records, misfit.unfit, self.table.keys)
                    for record, reason in bad:
                        self.reject(record, reason)
                    if len(records) == count:
                        names = " and ".join(column.property for column in misfit.unfit)
                        msg = (
                            f"The values of {names} of the stream {self.stream_name} fit their columns one by one, but "
                            "not as a batch."
                        )
                        raise LoadError(msg) from misfit

    def _storable(self, records: list[Record]) -> list[Record]:
        """The records without characters that the database's encoding lacks; the others are rejected."""
        lacking = self._target.engine.lacking(
            json_line(value) for record in records for name, value in record.items() if name in self._names
        )
        kept = []
        for record in records:
            named = (name for name in record if name in self._names and lacking.intersection(json_line(record[name])))
            if bad := next(named, None) if lacking else None:
                self.reject(record, f"its property {bad} has a character that the database's encoding lacks")
            else:
                kept.append(record)
        return kept

    def _reduced(self, records: list[Record]) -> list[Write]:
        table, keys = self.table, self.table.key_columns
        key_of = key_reader(keys, replace_nul=self._losses.replaces_nul)
        hard_delete = self._target.settings.hard_delete
        try:
            outcomes = outcomes_by_key(records, table.keys, hard_delete=hard_delete, key_of=key_of)
        except (UnfitError, TypeError):  # a key does not fit its column, or is a list or an object
            raise MisfitError(keys, {}) from None
        writes = []
        if outcomes.renewed:
            writes.append(Write("remove", self._arrow(outcomes.renewed, keys), outcomes.renewed))
        if outcomes.rows:
            writes.append(
                Write("upsert" if table.keys else "append", self._arrow(outcomes.rows, table.columns), outcomes.rows)
            )
        for carried, group in outcomes.partial.items():
            columns = [table.by_property[name] for name in carried if name in table.by_property]
            writes.append(Write("upsert", self._arrow(group, columns), group))
        if outcomes.removed:
            writes.append(Write("remove", self._arrow(outcomes.removed, keys), outcomes.removed))
        return writes

    def _write(self, writes: Sequence[Write]) -> None:
        """Write the batch in one transaction, or in pieces if the database refuses a value in it."""
        try:
            self._commit(writes)
        except RefusedDataError as refused:
            write_in_halves(writes, refused, lambda write: self._commit([write], is_last=False), self.reject)
            self._commit([])

    def _commit(self, writes: Sequence[Write], *, is_last: bool = True) -> None:
        def work(transaction: Transaction) -> Counts:
            return sum((write.apply(transaction, self.table) for write in writes), Counts())

        self._target.commit(self, work, is_last=is_last)

    def activate_version(self, new_version: int, scope: Scope | None = None) -> None:
        """Write pending records, then delete or mark the rows of older versions; with a scope, only rows in it."""
        settings = self._target.settings
        if not settings.activate_version:
            self.logger.warning(
                "The ACTIVATE_VERSION message of the stream %s is ignored: the setting activate_version is false.",
                self.stream_name,
            )
            return
        if TABLE_VERSION not in self._names:
            return
        if scope is not None:
            scope.check(self.table)
        self._target.drain_one(self)
        if self._target.load_of(self).rejected:
            self.logger.warning(
                "Stream %s: rows of older versions are kept, because records were rejected in this run, and their rows "
                "must not count as deleted.",
                self.stream_name,
            )
            return
        version, rows = new_version, None
        if scope is not None:
            columns = [self.table.by_property[name] for name in scope.columns]
            try:
                version, rows = scope.version, self._arrow(scope.records(), columns)
            except MisfitError:
                names = " and ".join(scope.columns)
                msg = (
                    f"The scope of the ACTIVATE_VERSION message of the stream {self.stream_name} does not fit {names}."
                )
                raise InputError(msg) from None

        def work(transaction: Transaction) -> Counts:
            return transaction.activate_version(self.table, version, hard_delete=settings.hard_delete, scope=rows)

        self._target.commit(self, work)

    def load_files(self, encoding: BaseBatchFileEncoding, files: Sequence[str], stream_map: StreamMap) -> None:
        """Load the files of a BATCH message after all earlier records, each part in one transaction."""
        from target_warehouse.singer.batch_files import check_places, read_parts  # imports parquet; few inputs need it

        self._target.drain_one(self)
        storage = self.batch_config.storage if self.batch_config else None
        check_places(self.stream_name, list(files), storage)
        check = self._target.message_reader.check
        for url in files:
            for records in read_parts(self.stream_name, encoding, url, storage, check):
                self.record_counter_metric.increment(len(records))
                self.process_batch({"records": self._mapped(records, stream_map)})

    def _mapped(self, records: Iterable[Record], stream_map: StreamMap) -> list[Record]:
        """The records after the stream map; records that it cannot map are rejected."""
        mapped: list[Record] = []
        for record in records:
            try:
                result = stream_map.transform(record)
            except UNMAPPABLE as error:
                self._target.load_of(self).rows_read += 1
                self.reject(record, why_unmappable(error))
            else:
                mapped += [result] if result is not None else []
        return mapped

    def clean_up(self) -> None:
        """Log the number of values of each property that were not stored exactly."""
        for lost, counts in ((_NUL, self._losses.nul), (_CUT, self._losses.cut)):
            for name, count in counts.items():
                level = logging.WARNING if lost is _CUT else logging.INFO
                self.logger.log(level, "Stream %s, property %s: %s in %d values.", self.stream_name, name, lost, count)
        super().clean_up()

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
            if not self._target.settings.sanitize_null_text_characters:
                self.logger.warning(
                    "Stream %s, property %s: PostgreSQL cannot store the character NUL in text; each is replaced by "
                    "U+FFFD.",
                    self.stream_name,
                    name,
                )
        for name in sorted(losses.cut.keys() - self._losses.cut.keys()):
            self.logger.warning(
                "Stream %s, property %s: its column holds microseconds, and times of day without a UTC offset; the "
                "rest of the values is cut. To keep all of it, load the property as text, without a format in the "
                "schema.",
                self.stream_name,
                name,
            )
        self._losses.update(losses)

    def _parse_timestamps_in_record(self, *_: object, **__: object) -> None:
        """Do nothing: dates and times are parsed column by column when the batch is made."""

    def _singer_validate_message(self, record: Record) -> None:
        """Do nothing: `process_record` rejects a record without its key."""

    def _remove_sdc_metadata_from_record(self, record: Record) -> None:
        """Remove the metadata except `_sdc_deleted_at`, by which delete records are recognised."""
        deleted_at = record.get(DELETED_AT)
        super()._remove_sdc_metadata_from_record(record)
        if deleted_at is not None:
            record[DELETED_AT] = deleted_at
