"""Replies with objects to the JSON of records, in C; called by `compiled_records`."""

from collections.abc import Callable

#: Column types.
TEXT: int
NUMBER: int
BOOLEAN: int
DATE: int
DATE_TIME: int
INVALID: int

def reader(
    names: tuple[bytes, ...],
    columns: tuple[tuple[int, int, bytes], ...],
    merged: int,
    convert: Callable[[int, str], bytes],
    /,
) -> object: ...
def read(
    reader: object, content: bytes, /
) -> (
    tuple[
        list[tuple[str, str | None, str | None, dict[str, str] | None, str | None, bytes, str | None, str | None]],
        int,
        int,
    ]
    | None
): ...
