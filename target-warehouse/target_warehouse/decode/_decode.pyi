"""RECORD lines of one stream to Arrow columns, in C; called by `compiled`."""

#: The forms of a column's values; values of every form without a number of its own are RAW: their JSON.
TEXT: int
INTEGER: int
DECIMAL: int
WHOLE: int
BOOLEAN: int
DAY: int
TIMESTAMP: int
RAW: int
#: Instead of a column: skip any value, or accept only null.
IGNORED: int
ABSENT: int
#: What a column does not accept: null, a missing property.
NULLS: int
GAPS: int

def decoder(
    stream: bytes,
    names: tuple[bytes, ...],
    places: tuple[int, ...],
    forms: tuple[int, ...],
    refused: tuple[int, ...],
    time_extracted: int,
    version: int,
    takes_nul: bool,
    /,
) -> object:
    """Return a decoder of columns with these forms.

    `places` maps each name to a column, IGNORED or ABSENT. `refused` is what each column does not accept: 0, or a sum
    of NULLS and GAPS.
    """

def decode(decoder: object, spans: tuple[bytes, ...], rows: int, /) -> object | None:
    """Return a capsule with an Arrow array that has a child for each form; None if a line is not plain."""

def lines_alike(block: bytes | bytearray, position: int, beginning: bytes, /) -> tuple[int, int]:
    """Return the end and the number of the lines from this position on that start with `beginning`."""
