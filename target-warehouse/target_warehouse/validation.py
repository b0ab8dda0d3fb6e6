"""What a stream's JSON schema forbids beyond what making rows checks: the SDK's validator, no values in reasons."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

import jsonschema
from singer_sdk.exceptions import InvalidJSONSchema
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from target_warehouse.columns import DELETED_AT

if TYPE_CHECKING:
    from target_warehouse.batches import Record


class RecordChecker:
    """Checks records against a schema.

    Raises:
        InvalidJSONSchema: the schema itself is not valid.
    """

    def __init__(self, stream: str, schema: dict[str, Any]) -> None:
        try:
            DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(schema)
        except jsonschema.SchemaError as error:
            msg = f"The SCHEMA of the stream {stream} is not a valid JSON schema, at {error.json_path}."
            raise InvalidJSONSchema(msg) from None
        # 5.0 is an integer to JSON schema; the reader makes it a Decimal, which the library does not look into.
        checker = DEFAULT_JSONSCHEMA_VALIDATOR.TYPE_CHECKER.redefine("integer", _is_integer)
        validator = jsonschema.validators.extend(DEFAULT_JSONSCHEMA_VALIDATOR, type_checker=checker)
        self._validator = validator(schema, format_checker=None)

    def reason_against(self, record: Record) -> str | None:
        """Which rule a record breaks, in a few words; a delete record may lack what the schema requires."""
        is_delete = record.get(DELETED_AT) is not None
        for error in self._validator.iter_errors(record):
            if is_delete and error.validator == "required":
                continue
            where = f"its property {error.absolute_path[0]}" if error.absolute_path else "it"
            return f"{where} breaks the schema's rule {error.validator}"
        return None


def _is_integer(_checker: object, value: object) -> bool:
    if isinstance(value, decimal.Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)
