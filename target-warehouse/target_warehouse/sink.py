"""One stream's sink: collects records, makes them one Arrow batch, and has the engine write it in one transaction.

The per-record work is the SDK's own path without its three slow parts: values are checked and parsed column by
column when the batch is made (`rows`), and the JSON schema validator runs only for schemas that say more than
that checks. A bulk reader would hand whole Arrow tables to `write` instead.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidJSONSchema, MissingKeyPropertiesError
from singer_sdk.sinks import BatchSink
from singer_sdk.sinks.core import BaseJSONSchemaValidator

from target_warehouse.batches import settle
from target_warehouse.columns import DELETED_AT, TABLE_VERSION, needs_validator, table_of
from target_warehouse.engines.protocol import Counts
from target_warehouse.errors import InputError, RecordError
from target_warehouse.rows import to_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from singer_sdk.helpers._batch import BaseBatchFileEncoding

    from target_warehouse.batches import Record
    from target_warehouse.columns import Column
    from target_warehouse.engines.protocol import Transaction
    from target_warehouse.target import TargetWarehouse


class WarehouseSink(BatchSink):
    """Loads one stream into its table."""

    def __init__(
        self, target: TargetWarehouse, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._target = target
        settings = target.settings
        self.table = table_of(
            stream_name,
            self.schema,
            self.key_properties,
            default_schema=settings.default_target_schema,
            interpret_encoding=bool(self.config.get("interpret_content_encoding")),
        )
        self._names = frozenset(self.table.column_names)
        self._by_name = {column.name: column for column in self.table.columns}
        self._warned: set[str] = set()
        self.pending_bytes = 0

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """A validator only for schemas that say more than making rows checks; None for all others."""
        if not self.validate_schema or not needs_validator(self.schema):
            return None
        return _Validator(self.stream_name, self.schema)

    def setup(self) -> None:
        """Create the table or add its missing columns.

        Raises:
            InputError: the schema has no properties, or not those that the keys name.
        """
        if not self.table.columns:
            msg = f"The SCHEMA of the stream {self.stream_name} has no properties, so there is no table to make."
            raise InputError(msg)
        unknown = [key for key in self.table.keys if key not in self._names]
        if unknown:
            msg = (
                f"The stream {self.stream_name} names the key {' and '.join(unknown)}, which its schema does not have."
            )
            raise InputError(msg)
        self._target.engine.prepare(self.table)
        self._target.run_of(self)

    def preprocess_record(self, record: Record, context: dict[str, Any]) -> Record:  # noqa: ARG002 - the SDK's hook
        """Check that the keys are there; warn once of a property without a schema, which is not loaded.

        Raises:
            MissingKeyPropertiesError: a key is missing or null.
        """
        for key in self.table.keys:
            if record.get(key) is None:
                what = "is null" if key in record else "is missing"
                msg = (
                    f"A record of the stream {self.stream_name} cannot be loaded: its key property {key} {what}. "
                    "Correct it at the source, or choose other keys in the tap."
                )
                raise MissingKeyPropertiesError(msg)
        if not record.keys() <= self._names:
            for name in sorted(record.keys() - self._names - self._warned - {DELETED_AT}):
                self._warned.add(name)
                self.logger.warning(
                    "Stream %s: the property %s is not in the stream's schema and is not loaded.",
                    self.stream_name,
                    name,
                )
        return record

    def process_record(self, record: Record, context: dict[str, Any]) -> None:
        """Keep the record for the batch."""
        super().process_record(record, context)
        self.pending_bytes += self._target.took_record(self)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the batch's records, and the stream's history, in one transaction.

        Raises:
            RecordError: a record cannot become a row; nothing of the batch was written.
            LoadError: the database refused the batch; nothing of it was written.
        """
        records = context.pop("records", [])
        if "batch_id" not in context:  # the file of a BATCH message, whose records did not pass one by one
            self._target.run_of(self).rows_read += len(records)
            for record in records:
                self.preprocess_record(record, context)
        settled = settle(records, self.table.keys, hard_delete=self._target.settings.hard_delete)
        rows = self._arrow(settled.rows, self.table.columns) if settled.rows else None
        partial = [
            self._arrow(group, [self._by_name[name] for name in carried if name in self._names])
            for carried, group in settled.partial.items()
        ]
        keys = [self._by_name[name] for name in self.table.keys]
        removed = self._arrow(settled.removed, keys) if settled.removed else None
        self.write(rows, partial, removed)

    def write(self, rows: pa.Table | None, partial: Sequence[pa.Table] = (), removed: pa.Table | None = None) -> None:
        """Write one batch: whole rows, rows of some columns, and keys to remove; no key may be in two of them."""

        def work(transaction: Transaction) -> Counts:
            counts = Counts()
            if rows is not None and not self.table.keys:
                counts += transaction.append(self.table, rows)
            elif rows is not None:
                counts += transaction.upsert(self.table, rows)
            for group in partial:
                counts += transaction.upsert(self.table, group)
            if removed is not None:
                counts += transaction.remove(self.table, removed)
            return counts

        self._target.commit(self, work)
        self.pending_bytes = 0

    def activate_version(self, new_version: int) -> None:
        """Write what is pending, then delete the rows of older versions, or mark them."""
        settings = self._target.settings
        if not settings.activate_version:
            self.logger.warning(
                "An ACTIVATE_VERSION message for the stream %s is ignored, as the setting activate_version says.",
                self.stream_name,
            )
            return
        if TABLE_VERSION not in self._names:
            return
        self._target.drain_one(self)
        self._target.commit(
            self,
            lambda transaction: transaction.activate_version(self.table, new_version, hard_delete=settings.hard_delete),
        )

    def process_batch_files(self, encoding: BaseBatchFileEncoding, files: Sequence[str]) -> None:
        """Load the files of a BATCH message after the records that came before it."""
        self._target.drain_one(self)
        super().process_batch_files(encoding, files)

    def _arrow(self, records: Sequence[Record], columns: Iterable[Column]) -> pa.Table:
        return to_table(
            self.stream_name,
            records,
            columns,
            self._target.engine.number_type,
            replace_nul=self._target.settings.sanitize_null_text_characters,
        )

    def _parse_timestamps_in_record(self, *_: object, **__: object) -> None:
        """Nothing: dates and times are parsed column by column when the batch is made."""

    def _remove_sdc_metadata_from_record(self, record: Record) -> None:
        """Without metadata columns, a delete record must still be known as one."""
        deleted_at = record.get(DELETED_AT)
        super()._remove_sdc_metadata_from_record(record)
        if deleted_at is not None:
            record[DELETED_AT] = deleted_at


class _Validator(BaseJSONSchemaValidator):
    """The SDK's JSON schema validation with errors that name the property and not the value."""

    def __init__(self, stream: str, schema: dict[str, Any]) -> None:
        import jsonschema
        from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

        super().__init__(schema)
        self._stream = stream
        try:
            DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(schema)
        except jsonschema.SchemaError as error:
            msg = f"The SCHEMA of the stream {stream} is not a valid JSON schema, at {error.json_path}."
            raise InvalidJSONSchema(msg) from None
        # 5.0 is an integer to JSON schema; the reader makes it a Decimal, which the library does not look into.
        checker = DEFAULT_JSONSCHEMA_VALIDATOR.TYPE_CHECKER.redefine("integer", _is_integer)
        validator = jsonschema.validators.extend(DEFAULT_JSONSCHEMA_VALIDATOR, type_checker=checker)
        self._validator = validator(schema, format_checker=None)

    def validate(self, record: Record) -> None:
        """Check a record; a delete record may lack what the schema requires."""
        is_delete = record.get(DELETED_AT) is not None
        for error in self._validator.iter_errors(record):
            if is_delete and error.validator == "required":
                continue
            where = str(error.absolute_path[0]) if error.absolute_path else "as a whole"
            msg = (
                f"A record of the stream {self._stream} cannot be loaded: its property {where} breaks the schema's "
                f"rule {error.validator}. Correct it at the source, or deselect the property in the tap."
            )
            raise RecordError(msg)


def _is_integer(_checker: object, value: object) -> bool:
    if isinstance(value, decimal.Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)
