"""Names that a stream cannot use, because the target has columns of these names. Pure except for the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from target_warehouse.errors import InputError
from target_warehouse.tables.table import DELETED_AT, METADATA, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger("target-warehouse")
_KINDS_OF_A_MARK = ("date-time", "date", "string", "text")


def check_own_names(stream: str, schema: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Reject keys, and log properties, that have the names of the target's own columns.

    Raises:
        InputError: such a property is a key, or `_sdc_deleted_at` is not a date and time.
    """
    properties = schema.get("properties", {})
    if own := [key for key in keys if key in (DELETED_AT, *METADATA)]:
        msg = (
            f"The stream {stream} has the key {' and '.join(own)}, which is the name of one of the target's own "
            "columns: give the property another name by the setting stream_maps."
        )
        raise InputError(msg)
    if DELETED_AT in properties and kind_of(properties[DELETED_AT]) not in _KINDS_OF_A_MARK:
        msg = (
            f"The property {DELETED_AT} of the stream {stream} is not a date and time, but Singer uses it to mark "
            "deleted records: give the property another name by the setting stream_maps."
        )
        raise InputError(msg)
    if replaced := [name for name in METADATA if name in properties]:
        logger.warning(
            "Stream %s: the values of %s are not loaded, because these are names of the target's own columns. To load "
            "them, give the properties other names by the setting stream_maps.",
            stream,
            " and ".join(replaced),
        )
