"""A feed passes ids from one stream to others."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tap_hubspot_dw.reading.id_sets import pack, unpack
from tap_hubspot_dw.reading.shared_ids import IdFeed

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_ids_arrive_in_chunks_while_others_are_still_being_read():
    feed, chunks = IdFeed(), []
    feed.begin(None)
    reader = threading.Thread(target=lambda: chunks.extend(feed.arriving(3)))
    reader.start()
    feed.add([1, 2, 3, 4])
    feed.add([5])
    while len(chunks) < 1:
        pass  # the first chunk comes before the end
    feed.end(complete=True)
    reader.join(5)
    assert chunks == [[1, 2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("begun", "since", "complete", "holds_all", "holds_since_noon"),
    [
        (True, None, True, True, True),
        (True, None, False, False, False),
        (True, NOON, True, False, True),
        (True, NOON - HOUR, True, False, True),
        (True, NOON + HOUR, True, False, False),
        (False, None, False, False, False),
        (False, None, True, False, False),
    ],
)
def test_a_feed_has_all_ids_only_if_all_were_read(begun, since, complete, holds_all, holds_since_noon):
    feed = IdFeed()
    if begun:
        feed.begin(since)
    feed.end(complete=complete)
    feed.end(complete=True)  # a second end changes nothing
    assert (feed.holds_all(), feed.holds_since(NOON)) == (holds_all, holds_since_noon)


@pytest.mark.parametrize("ids", [set(), {1}, {127, 128, 2**53, 2**63}, set(range(1000, 90_000, 7))])
def test_a_set_of_ids_survives_packing(ids):
    assert unpack(pack(ids)) == ids


def test_a_packed_set_is_short():
    assert len(pack(range(10**11, 10**11 + 10_000 * 9_001, 9_001))) < 40_000


@pytest.mark.parametrize("text", ["", "no", "AAAA", "eJw="])
def test_a_damaged_set_is_refused(text):
    with pytest.raises(ValueError, match="damaged"):
        unpack(text)
