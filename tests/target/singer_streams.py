"""The files `streams/*.singer`: their folder, the mark between runs, and the expected end of the runs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = sorted((Path(__file__).parent / "streams").glob("*.singer"))
NEXT_RUN = "=== next run\n"


@contextmanager
def ends_as(expected: dict[str, Any]) -> Iterator[None]:
    """Check that the run ends with the words of `error`, or without an error if there are none."""
    if "error" not in expected:
        yield
        return
    with pytest.raises(WarehouseError) as raised:
        yield
    assert [word for word in expected["error"] if word not in str(raised.value)] == []
