"""The checks of a single record before its batch is made: its key, its mark of deletion, its schema's constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.decode.converters import UnfitError, without_nul
from target_warehouse.decode.time_converters import to_date_time
from target_warehouse.tables.table import DELETED_AT

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable

    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.load_history import StreamLoad
    from target_warehouse.singer.validation import RecordValidator


class RecordChecks:
    """The checks of the records of one stream's load.

    `names` are the properties in the stream's schema. `validator` checks the constraints of the schema that the
    conversion into rows does not check, if it has any. `removes_rows` says whether a delete record removes its row.
    """

    def __init__(
        self,
        load: StreamLoad,
        names: Collection[str],
        logger: logging.Logger,
        *,
        validator: RecordValidator | None,
        rejects_nul_in_keys: bool,
        removes_rows: bool,
    ) -> None:
        #: Properties that are not in the schema and have been warned about.
        self.warned: set[str] = set()
        self._load = load
        self._names = frozenset(names)
        self._logger = logger
        self._validator = validator
        self._rejects_nul_in_keys = rejects_nul_in_keys
        self._has_effect = bool(load.table.mark or removes_rows)

    def accepted(self, records: Iterable[Record]) -> list[Record]:
        """The records that pass; the others are rejected."""
        accepted = []
        for record in records:
            reason = self.reason_against(record)
            if reason:
                self._load.reject(record, reason)
            else:
                accepted.append(record)
        return accepted

    def reason_against(self, record: Record) -> str | None:
        """The reason to reject a record, as far as it is known before the batch is made; None if there is none."""
        for key in self._load.table.keys:
            if record.get(key) is None:
                return f"its key property {key} is {'null' if key in record else 'missing'}"
            if self._rejects_nul_in_keys and without_nul(record[key]) != record[key]:
                return f"its key property {key} has the character NUL, which the database does not store"
        if record.get(DELETED_AT) is not None:
            try:
                to_date_time(record[DELETED_AT])
            except UnfitError as reason:
                return f"its property {DELETED_AT} {reason}"
            self._warn_of_deletes()
        if not record.keys() <= self._names:
            self._warn_of_unknown(record)
        return self._validator.reason_against(record) if self._validator else None

    def _warn_of_unknown(self, record: Record) -> None:
        for name in sorted(record.keys() - self._names - self.warned - {DELETED_AT}):
            self.warned.add(name)
            self._logger.warning(
                "Stream %s: the property %s is not in the stream's schema and is not loaded.", self._load.stream, name
            )

    def _warn_of_deletes(self) -> None:
        """Warn once if delete records neither mark nor remove a row."""
        if self._has_effect:
            return
        self._has_effect = True
        self._logger.warning(
            "Stream %s: its delete records mark no row, because the table has no column %s. Set add_record_metadata "
            "or hard_delete.",
            self._load.stream,
            DELETED_AT,
        )
