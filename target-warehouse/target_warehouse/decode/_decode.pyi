"""RECORD lines of one stream to Arrow columns, in C; `lines` is what calls it."""

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

    `places` are the columns of the names, -1 for any value, -2 for none but null. `refused` says of each column what it
    does not take: 1 null, 2 that its property is missing, 3 both.
    """

def decode(decoder: object, spans: tuple[bytes, ...], rows: int, /) -> object | None:
    """Return the capsule of an Arrow array with a child for each form; None if a line is not plain."""

def lines_alike(block: bytes | bytearray, position: int, beginning: bytes, /) -> tuple[int, int]:
    """Return where the lines end that begin so, from the one at this position on, and how many they are."""
