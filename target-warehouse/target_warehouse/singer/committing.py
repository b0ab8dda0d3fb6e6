"""A target whose sinks commit through one `Committer`; sinks know no more of their target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.target_base import Target

if TYPE_CHECKING:
    from target_warehouse.load.committer import Committer


class CommittingTarget(Target):
    """A target with a committer."""

    committer: Committer
