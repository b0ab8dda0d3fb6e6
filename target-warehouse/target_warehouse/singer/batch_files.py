"""The files of BATCH messages, read in parts, as records with the same values as in RECORD lines.

Files are jsonl, plain or compressed by gzip, or parquet. They must be on this machine, or in the storage that
`batch_config` names; a message cannot open any other file. Memory is bounded, even if a small file unpacks to a large
one.

The SDK's own reader is not used: it reads numbers, NaN and half surrogate pairs differently from RECORD lines, does not
convert the dates of parquet files, and ends with a traceback.
"""

from __future__ import annotations

import datetime as dt
import gzip
import math
import stat
import uuid
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from singer_sdk.helpers._batch import StorageTarget

from target_warehouse.decode.converters import Binary, UnreadableNumber
from target_warehouse.errors import InputError
from target_warehouse.singer.flattening import UNMAPPABLE, why_unmappable
from target_warehouse.singer.message_reader import LineReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.helpers._batch import BaseBatchFileEncoding
    from singer_sdk.mapper import StreamMap

    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.load_history import StreamLoad

_CHUNK_BYTES = 1 << 20
_PART_BYTES = 8 << 20  # of lines or Arrow data; Python objects take about six times as much
_LONGEST_LINE = 256 << 20
_PARQUET_ROWS = 256  # decoded at a time, because a dictionary may hold one long text for all rows
_UNREADABLE = (OSError, EOFError, ValueError, OverflowError, ImportError, zlib.error, pa.ArrowException)


def check_encoding(stream: str, encoding: Any, manifest: Any) -> None:
    """Check the encoding and the manifest of a BATCH message.

    Raises:
        InputError: they are malformed, or the format is not supported.
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


def check_places(stream: str, manifest: list[str], storage: StorageTarget | None) -> None:
    """Check that every file is on this machine, or in the storage of the settings.

    Raises:
        InputError: a file is somewhere else; it was not opened.
    """
    allowed = urlsplit(storage.root).scheme or "file" if storage else "file"
    for url in manifest:
        parts = urlsplit(url)
        is_here = parts.netloc in ("", "localhost") or storage is not None
        if (parts.scheme or "file") != allowed or (allowed == "file" and not is_here):
            msg = (
                f"A BATCH message of the stream {stream} names a file at {parts.scheme}://{parts.hostname or ''}, but "
                f"only files at {allowed}:// are read: configure the tap to write files on this machine, or set the "
                "target's batch_config to the storage that the tap writes to."
            )
            raise InputError(msg)


def read_parts(
    stream: str,
    encoding: BaseBatchFileEncoding,
    url: str,
    storage: StorageTarget | None,
    check: Callable[[], None],
) -> Iterator[list[Record]]:
    """The records of one file, in parts. `check` is called regularly and may raise an error to stop.

    Raises:
        InputError: the file cannot be read, or does not have the format that the message says.
    """
    count = 0
    try:
        with _opened(url, storage) as file:
            parts = _of_parquet(file) if encoding.format == "parquet" else _of_lines(file, encoding, check)
            for part in parts:
                check()
                count += len(part)
                yield part
    except (InputError, *_UNREADABLE) as error:
        why = str(error) if type(error) is _FileError else type(error).__name__
        why = "it has no records in that format" if type(error) is InputError else why
        what = f"Only its first {count:,} records were loaded" if count else "Nothing of it was loaded"
        msg = (
            f"A BATCH message of the stream {stream} names a file that cannot be read as {encoding.format} ({why}): "
            f"{url}. {what}: run the pipeline again."
        )
        raise InputError(msg) from error


def mapped(records: list[Record], stream_map: StreamMap, load: StreamLoad) -> list[Record]:
    """The records after the stream map, counted as read; records that it cannot map are rejected."""
    results: list[Record] = []
    for record in records:
        try:
            result = stream_map.transform(record)
        except UNMAPPABLE as error:
            load.rows_read += 1
            load.reject(record, why_unmappable(error))
        else:
            results += [result] if result is not None else []
    load.rows_read += len(results)
    return results


class _FileError(InputError):
    """A problem with a file, in a few words."""


@contextmanager
def _opened(url: str, storage: StorageTarget | None) -> Iterator[IO[bytes]]:
    if storage and (urlsplit(storage.root).scheme or "file") != "file":
        with storage.open(StorageTarget.split_url(url)[1], mode="rb") as file:
            yield file
        return
    path = Path(url.removeprefix("file://localhost").removeprefix("file://"))
    if storage:
        path = Path(storage.root.removeprefix("file://")) / path.name
    if not path.exists():
        path = Path(unquote(str(path)))
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe or a device may block forever
        raise _FileError("it is not a regular file")
    with path.open("rb") as file:
        yield file


def _of_lines(file: IO[bytes], encoding: BaseBatchFileEncoding, check: Callable[[], None]) -> Iterator[list[Record]]:
    source: Any = gzip.GzipFile(fileobj=file) if encoding.compression == "gzip" else file
    reader = LineReader()
    part: list[Record] = []
    size, rest = 0, [b""]
    while chunk := source.read(_CHUNK_BYTES):
        check()
        first, *others = chunk.split(b"\n")
        rest.append(first)
        size += len(chunk)
        if not others:
            if sum(map(len, rest)) > _LONGEST_LINE:
                raise _FileError(f"it has a line longer than {_LONGEST_LINE >> 20} megabytes")
            continue
        lines = [b"".join(rest), *others[:-1]]
        rest = [others[-1]]
        part += [reader.deserialize_json(line) for line in lines if line.strip()]
        if size >= _PART_BYTES and part:
            yield part
            part, size = [], 0
    if (last := b"".join(rest)).strip():
        part.append(reader.deserialize_json(last))
    if part:
        yield part


def _of_parquet(file: IO[bytes]) -> Iterator[list[Record]]:
    part: list[Record] = []
    size = 0
    for batch in pq.ParquetFile(file).iter_batches(_PARQUET_ROWS):
        size += batch.nbytes
        part += [_as_json(record) for record in _records(batch)]
        if size >= _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _records(batch: pa.RecordBatch) -> list[Record]:
    """The rows with the values that Python has: times with nanoseconds, or outside its years, become text."""
    records: list[Record]
    try:
        records = _with_texts(batch, _is_finer).to_pylist(maps_as_pydicts="lossy")
    except (OverflowError, ValueError):
        records = _with_texts(batch, pa.types.is_temporal).to_pylist(maps_as_pydicts="lossy")
    return records


def _is_finer(arrow_type: pa.DataType) -> bool:
    return bool(arrow_type == pa.time64("ns") or (pa.types.is_timestamp(arrow_type) and arrow_type.unit == "ns"))


def _with_texts(batch: pa.RecordBatch, is_text: Callable[[pa.DataType], bool]) -> pa.RecordBatch:
    """The batch with values of these types as text; times with a zone are in UTC."""
    schema = pa.schema([field.with_type(_as_text(field.type, is_text)) for field in batch.schema])
    if schema == batch.schema:
        return batch
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        if pa.types.is_timestamp(column.type) and column.type.tz and field.type == pa.string():
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_text(arrow_type: pa.DataType, is_text: Callable[[pa.DataType], bool]) -> pa.DataType:
    """The type with these types in it, at any depth, replaced by text."""
    if is_text(arrow_type) and not pa.types.is_duration(arrow_type):
        return pa.string()
    if pa.types.is_dictionary(arrow_type) and is_text(arrow_type.value_type):
        return pa.string()
    if pa.types.is_struct(arrow_type):
        return pa.struct([field.with_type(_as_text(field.type, is_text)) for field in arrow_type])
    if pa.types.is_map(arrow_type):
        return pa.map_(_as_text(arrow_type.key_type, is_text), _as_text(arrow_type.item_type, is_text))
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(_items(arrow_type, is_text), arrow_type.list_size)
    if pa.types.is_large_list(arrow_type):
        return pa.large_list(_items(arrow_type, is_text))
    return pa.list_(_items(arrow_type, is_text)) if pa.types.is_list(arrow_type) else arrow_type


def _items(list_type: pa.DataType, is_text: Callable[[pa.DataType], bool]) -> pa.Field:
    return list_type.value_field.with_type(_as_text(list_type.value_type, is_text))


def _as_json(value: Any) -> Any:
    """A value of a parquet file as in a RECORD line."""
    if isinstance(value, dict):
        return {name if isinstance(name, str) else str(_as_json(name)): _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return UnreadableNumber(str(value))
    if isinstance(value, dt.date | dt.time):  # a datetime is a date, too
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return msgspec.to_builtins(value)  # ISO 8601
    if isinstance(value, bytes):  # writers often store text without saying so
        try:
            return value.decode()
        except UnicodeDecodeError:
            return Binary(value)
    return str(value) if isinstance(value, uuid.UUID) else value
