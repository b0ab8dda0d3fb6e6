"""Both paths from a reply to lines side by side, and replies with any properties."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_hubspot_dw.errors import MisshapenReplyError
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.records.compiled_records import writer
from tap_hubspot_dw.records.extension import IS_COMPILED
from tap_hubspot_dw.records.page_decoder import MERGED_IDS, PageDecoder
from tap_hubspot_dw.records.schemas import Column
from tap_hubspot_dw.singer.events import record_lines
from tap_hubspot_dw.timestamps import EPOCH
from tests.tap.records.property_texts import COLUMNS

NAMES = [column.property_name for column in COLUMNS]


class Ways:
    """The fast and the slow path of one stream."""

    def __init__(self, columns: list[Column]) -> None:
        self.decoder = PageDecoder((column.property_name for column in columns), columns)
        self.write = writer(self.decoder.names, columns, self.decoder.names.index(MERGED_IDS))

    def outcome(self, reply: Reply) -> Any:
        """Return everything that the stream would make of a reply."""
        page = reply["results"]
        beside = (page.ids, page.archived_at, page.merged, list(page.merges()))
        asked = [(each.id, each.created_at, each.updated_at, each.invalid_properties) for each in page.records]
        lines = b"".join(record_lines("s", page.records, 7, EPOCH))
        dicts = [each.as_dict() for each in page.records]
        return lines, dicts, beside, asked, [reply.get(name) for name in ("paging", "total", "errors")]

    def assert_alike(self, content: bytes) -> bool:
        """Compare both paths and return whether the fast path took the reply; a refusal must come from both."""
        if not IS_COMPILED:
            pytest.skip("there is no C extension")
        assert self.write
        try:
            written = self.write(content)
        except MisshapenReplyError:
            with pytest.raises(MisshapenReplyError):
                self.decoder.decode(content)
            return False
        if written is not None:  # then the slow path must accept it, too
            assert self.outcome(written) == self.outcome(self.decoder.decode(content))
        return written is not None


WAYS = Ways(COLUMNS)


def hubspot_object(number: int, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    common = {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00.123Z", "archived": False}
    return {"id": str(number), **common, "url": "https://app.hubspot.com/x/1", "properties": properties, **more}


def reply_of(page: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"results": [hubspot_object(number, each) for number, each in enumerate(page, 1)], **more}


def written(reply: Any, **options: Any) -> bytes:
    return json.dumps(reply, **options).encode("utf-8", "surrogatepass")


#: A reply that the fast path takes.
GOOD = written(
    reply_of(
        [dict.fromkeys(NAMES, each) for each in ("1.5", "true", "\u00e9\n\ud83d\ude00")],
        paging={"next": {"after": "1"}},
    ),
    separators=(",", ":"),
)
