"""What names a stream cannot use, because the target has columns of these names. Pure but for the log."""

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
    """Refuse, or report, properties with the names of the target's own columns.

    Raises:
        InputError: rows would be told apart by one, or what marks deleted rows here means something else there.
    """
    properties = schema.get("properties", {})
    if own := [key for key in keys if key in (DELETED_AT, *METADATA)]:
        msg = (
            f"The stream {stream} has the key {' and '.join(own)}, which is the name of a column of the target's own: "
            "give the property another name by the setting stream_maps."
        )
        raise InputError(msg)
    if DELETED_AT in properties and kind_of(properties[DELETED_AT]) not in _KINDS_OF_A_MARK:
        msg = (
            f"The property {DELETED_AT} of the stream {stream} is not a date and time, by which Singer says that a "
            "record is deleted: give the property another name by the setting stream_maps."
        )
        raise InputError(msg)
    if replaced := [name for name in METADATA if name in properties]:
        logger.warning(
            "Stream %s: the values of %s are not loaded, as these are names of the target's own columns. To have "
            "them, give the properties other names by the setting stream_maps.",
            stream,
            " and ".join(replaced),
        )
