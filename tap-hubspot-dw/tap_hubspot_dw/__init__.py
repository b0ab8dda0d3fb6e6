"""Singer tap for HubSpot.

From Python: `write_messages` runs the tap, `discover` returns its catalog, `bookmarks` reads a state. Importing the
package changes nothing in the process, and imports nothing else until one of these is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_hubspot_dw.errors import HubSpotError
    from tap_hubspot_dw.interface import bookmarks, discover, write_messages

__all__ = ["HubSpotError", "bookmarks", "discover", "write_messages"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tap_hubspot_dw import errors, interface

    return getattr(errors if name == "HubSpotError" else interface, name)
