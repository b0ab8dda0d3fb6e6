"""Singer target for DuckDB and PostgreSQL.

From Python: `load_messages` loads Singer messages, `open_warehouse` reads what was loaded. Importing the package
changes nothing in the process, and imports nothing else until one of these is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from target_warehouse.errors import WarehouseError
    from target_warehouse.interface import Loaded, Warehouse, load_messages, open_warehouse

__all__ = ["Loaded", "Warehouse", "WarehouseError", "load_messages", "open_warehouse"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from target_warehouse import errors, interface

    return getattr(errors if name == "WarehouseError" else interface, name)
