"""RECORD lines of one stream to Arrow columns, in C; called by `compiled`."""

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

    `places` maps each name to a column; -1 skips any value, -2 only accepts null. `refused` is what a column does not
    accept: 1 null, 2 a missing property, 3 both.
    """

def decode(decoder: object, spans: tuple[bytes, ...], rows: int, /) -> object | None:
    """Return a capsule with an Arrow array that has a child for each form; None if a line is not plain."""

def lines_alike(block: bytes | bytearray, position: int, beginning: bytes, /) -> tuple[int, int]:
    """Return the end and the number of the lines from this position on that start with `beginning`."""
