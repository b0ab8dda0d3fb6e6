"""The states of a record: live, archived, merged into another one, or deleted for good."""

from __future__ import annotations

LIVE, ARCHIVED, MERGED, DELETED = range(4)
STATE_NAMES = {"live": LIVE, "archived": ARCHIVED, "merged": MERGED, "deleted": DELETED}
