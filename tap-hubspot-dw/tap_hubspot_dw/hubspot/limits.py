"""How much the tap reads at once, and how long it waits; a test of a small portal has smaller numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tap_hubspot_dw.reading.change_window import MOST_RESULTS
from tap_hubspot_dw.reading.id_ranges import LEAST_TO_SPLIT, RANGE_RECORDS

LIST_PAGE_SIZE = 100  # HubSpot's maximum, for batch read too (documented)


@dataclass(frozen=True)
class Limits:
    """The numbers of one run. Waits are in seconds, one for each try after the first."""

    page_size: int = LIST_PAGE_SIZE  # of a list; a page of a search has twice as many
    search_results: int = MOST_RESULTS
    range_records: int = RANGE_RECORDS
    least_to_split: int = LEAST_TO_SPLIT
    checkpoint_records: int = 5_000  # between two checkpoints: at most these are read again after a kill
    archived_block: int = 1_000  # delete records in a block
    empty_page_waits: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)
    short_page_waits: tuple[float, ...] = (0.0, 0.5)
    archived_list_waits: tuple[float, ...] = (1.0, 2.0)
