"""The sink of one stream: collects the records of a batch, checks them one by one, and passes them to its writer.

A batch takes one of two paths, never both. On the fast path it consists of record groups that are Arrow already
(`record_groups`, `group_decoder`). On the slow path it consists of records that come through the SDK, without its three
slow steps: values are checked and parsed column by column when the batch is made (`arrow_columns`), and the JSON schema
validator only runs for schemas with other constraints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink

from target_warehouse.decode.group_decoder import GroupDecoder
from target_warehouse.errors import RefusedDataError, SchemaError
from target_warehouse.load.fast_batch import FastBatch
from target_warehouse.load.stream_writer import StreamWriter
from target_warehouse.singer.record_checks import RecordChecks
from target_warehouse.singer.validation import RecordValidator
from target_warehouse.tables.own_names import check_own_names
from target_warehouse.tables.table import DELETED_AT, EXTRACTED_AT, TABLE_VERSION, needs_validator, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singer_sdk.helpers._batch import BaseBatchFileEncoding
    from singer_sdk.mapper import StreamMap
    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.load_history import StreamLoad
    from target_warehouse.load.scope import Scope
    from target_warehouse.singer.committing import CommittingTarget


class WarehouseSink(BatchSink):
    """Loads one stream into its table."""

    #: The stream's load in this run. It, the writer of its batches and the checks exist once the sink is set up.
    load: StreamLoad
    _writer: StreamWriter
    _checks: RecordChecks

    def __init__(
        self, target: CommittingTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        check_own_names(stream_name, schema, key_properties or ())
        super().__init__(target, stream_name, schema, key_properties)
        self._committer = target.committer
        settings = target.committer.settings
        self._declared = table_of(
            stream_name,
            self.schema,
            self.key_properties,
            default_schema=settings.default_target_schema,
            interpret_encoding=settings.interpret_content_encoding,
        )
        self._schema_validator: RecordValidator | None = None
        if self.validate_schema and needs_validator(self.schema):
            self._schema_validator = RecordValidator(self.schema)
        self._replaces_nul = settings.sanitize_null_text_characters or not target.committer.engine.dialect.stores_nul
        self._decoder: GroupDecoder | None = None
        self._fast_batch: FastBatch | None = None

    def setup(self) -> None:
        """Create the table or add its missing columns.

        Raises:
            SchemaError: the schema has no properties, or lacks a key.
            InputError, SettingsError: the table cannot be this stream's.
        """
        if not self._declared.columns:
            raise SchemaError("it has no properties, so there is no table to create")
        if unknown := [key for key in self._declared.keys if key not in self._declared.by_property]:
            raise SchemaError(f"its key {' and '.join(unknown)} is not one of its properties")
        settings, names = self._committer.settings, self._declared.by_property
        self.load = self._committer.prepare(self.stream_name, self._declared)
        self._writer = StreamWriter(self._committer, self.load, names, self.logger, replaces_nul=self._replaces_nul)
        self._checks = RecordChecks(
            self.load,
            names,
            self.logger,
            validator=self._schema_validator,
            # Of two keys that differ in a replaced character only, one row would be lost.
            rejects_nul_in_keys=self._replaces_nul and not settings.sanitize_null_text_characters,
            removes_rows=settings.hard_delete,
        )

    @property
    def decoder(self) -> GroupDecoder | None:
        """The decoder of the stream's record groups for the current table; None if the slow path must load them."""
        table, ignored = self.load.table, self._checks.warned
        if self._schema_validator or not GroupDecoder.can_decode(table):
            return None
        if self._decoder is None or self._decoder.table is not table or self._decoder.ignored != ignored:
            self._decoder = GroupDecoder(
                self.stream_name,
                table,
                ignored=ignored,
                replaces_nul=self._replaces_nul,
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
            self._fast_batch = FastBatch(self.load.table)
        self._fast_batch.add(group)
        self.tally_record_read(group.rows)
        self.record_counter_metric.increment(group.rows)
        self._committer.count(self.load, group.rows, group.size)

    def reject_whole(self, record: Record | str, reason: str) -> None:
        """Reject a record, or a line, that cannot become a record of this stream."""
        self.tally_record_read()
        self.load.reject(record, reason)
        self._committer.count_record(self.load)

    def process_record(self, record: Record, context: dict[str, Any]) -> None:
        """Add the record to the batch, or reject it."""
        reason = self._checks.reason_against(record)
        if reason:
            self.load.reject(record, reason)
        else:
            super().process_record(record, context)
        self._committer.count_record(self.load)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the batch, the rejected records and the stream's history in one transaction.

        If the database refuses a value in a batch of the fast path, the slow path loads it, and finds the record.

        Raises:
            LoadError: the database refused the batch; nothing of it was written.
        """
        if self._fast_batch is None:
            self._writer.write(context.pop("records", []))
            return
        batch, self._fast_batch = self._fast_batch, None
        try:
            self._writer.write_fast(batch)
        except RefusedDataError:
            self.mark_drained()
            self._committer.load_slowly(self.load, batch.groups, self._write_pending)

    def _write_pending(self) -> None:
        if self.current_size:
            self.process_batch(self.start_drain())
            self.mark_drained()

    def is_activated_by(self, scope: Scope | None) -> bool:
        """Whether an ACTIVATE_VERSION message deletes or marks rows of this table.

        Raises:
            InputError: the message's scope does not fit the table.
        """
        if not self._committer.settings.activate_version:
            self.logger.warning(
                "The ACTIVATE_VERSION message of the stream %s is ignored: the setting activate_version is false.",
                self.stream_name,
            )
            return False
        if TABLE_VERSION not in self._declared.by_property:
            return False
        if scope is not None:
            scope.check(self.load.table)
        return True

    def has_outdated(self, version: int) -> bool:
        """Whether `activate_version` would delete or mark rows."""
        return self._writer.has_outdated(version)

    def activate_version(self, new_version: int, scope: Scope | None = None) -> None:
        """Delete or mark the rows of older versions; with a scope, only rows in it. Earlier records must be written."""
        if self.load.rejected:
            self.logger.warning(
                "Stream %s: rows of older versions are kept, because records were rejected in this run, and their rows "
                "must not count as deleted.",
                self.stream_name,
            )
            return
        if self.load.has_files:
            self.logger.warning(
                "Stream %s: rows of older versions are kept, because the files of BATCH messages carry no version, and "
                "their rows must not count as deleted.",
                self.stream_name,
            )
            return
        self._writer.activate_version(new_version, scope)

    def load_files(
        self, encoding: BaseBatchFileEncoding, files: Sequence[str], stream_map: StreamMap, check: Callable[[], None]
    ) -> None:
        """Load the files of a BATCH message, each part in one transaction. Earlier records must be written.

        `check` is called while a file is read; it may raise an error to stop the reading.
        """
        # Imports parquet, which few inputs need.
        from target_warehouse.singer.batch_files import check_places, mapped, read_parts

        storage = self.batch_config.storage if self.batch_config else None
        check_places(self.stream_name, list(files), storage)
        self.load.has_files = True
        for url in files:
            for records in read_parts(self.stream_name, encoding, url, storage, check):
                self.record_counter_metric.increment(len(records))
                self._writer.write(self._checks.accepted(mapped(records, stream_map, self.load)))

    def clean_up(self) -> None:
        """Log the number of values of each property that were not stored exactly."""
        self._writer.report()
        super().clean_up()

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """None: a record that breaks its schema is rejected by `process_record`, and is not an error."""
        return None

    def _add_sdc_metadata_to_record(self, record: Record, message: dict[str, Any], context: dict[str, Any]) -> None:
        """Add the metadata of a record; an empty `time_extracted` is none."""
        super()._add_sdc_metadata_to_record(record, message, context)
        if record[EXTRACTED_AT] == "":
            record[EXTRACTED_AT] = None

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
