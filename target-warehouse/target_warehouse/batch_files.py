"""The files of a BATCH message: read whole, as records with the values that a RECORD line would have.

Files are jsonl, plain or by gzip, or parquet. The SDK's own reader is not used: it takes numbers, NaN and half
surrogate pairs otherwise than a RECORD line, leaves the dates of parquet files as they are, and ends with a traceback.
"""

from __future__ import annotations

import datetime as dt
import gzip
import math
import uuid
import zlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from singer_sdk.helpers._batch import StorageTarget

from target_warehouse.errors import InputError
from target_warehouse.reader import LineReader
from target_warehouse.values import UnreadableNumber

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BaseBatchFileEncoding

    from target_warehouse.batches import Record

_UNREADABLE = (OSError, EOFError, ValueError, ImportError, zlib.error, pa.ArrowException)


def check_encoding(stream: str, encoding: Any, manifest: Any) -> None:
    """Check that a BATCH message says what its files are.

    Raises:
        InputError: it does not, or they are of a form that is not read.
    """
    known = ({"jsonl", "parquet"}, {None, "none", "gzip"})
    given = (encoding.get("format"), encoding.get("compression")) if isinstance(encoding, dict) else (None, None)
    is_list = isinstance(manifest, list) and all(isinstance(path, str) for path in manifest)
    if not is_list or given[0] not in known[0] or given[1] not in known[1] or set(encoding) - {"format", "compression"}:
        msg = (
            f"A BATCH message of the stream {stream} must have a manifest of file URLs and an encoding of the format "
            "jsonl or parquet with the compression none or gzip: change batch_config in the tap."
        )
        raise InputError(msg)


def read_records(stream: str, encoding: BaseBatchFileEncoding, url: str, storage: StorageTarget | None) -> list[Record]:
    """The records of one file.

    Raises:
        InputError: it cannot be read, or does not hold what the message says.
    """
    try:
        folder, name = StorageTarget.split_url(url)
        with (storage or StorageTarget.from_url(folder)).open(name, mode="rb") as file:
            if encoding.format == "parquet":
                return [_as_json(record) for record in pq.read_table(file).to_pylist()]
            lines = gzip.decompress(file.read()) if encoding.compression == "gzip" else file.read()
            reader = LineReader()
            return [reader.deserialize_json(line) for line in lines.split(b"\n") if line.strip()]
    except (InputError, *_UNREADABLE) as error:
        why = "it holds no records of that format" if isinstance(error, InputError) else type(error).__name__
        msg = (
            f"A BATCH message of the stream {stream} names a file that cannot be read as {encoding.format} ({why}): "
            f"{url}. Nothing of it was loaded; run the pipeline again."
        )
        raise InputError(msg) from error


def _as_json(value: Any) -> Any:
    """A value of a parquet file as a RECORD line would have it."""
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return UnreadableNumber(str(value))
    if isinstance(value, dt.date | dt.time):  # a date-time is a date, too
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
