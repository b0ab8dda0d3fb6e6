"""A portal in memory that answers as HubSpot does, with a clock and a search index of its own.

It has the behaviour of HubSpot that the tap relies on, with small limits: the list's cursor is the last id + 1, a
search returns the contents of its index, `after` has a maximum, and archived objects have a list of their own. The
portal changes while it is read: `plan` maps requests to the events before them. Time passes only in the model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp

MODIFIED = "lastmodifieddate"
MOST_RESULTS = 100  # of a search, over all its pages: a hundredth of HubSpot's
BEGIN = epoch_ms(parse_timestamp("2026-11-01T00:00:00Z"))
PROPERTIES = {"hs_object_id": "number", MODIFIED: "datetime", "name": "string", "hs_merged_object_ids": "string"}

LIES = ["half", "half at the end", "the end", "empty", "nothing", "few", "refused"]

Answer = tuple[int, dict[str, str], str]
Object = dict[str, Any]


def timestamp(milliseconds: int) -> str:
    """Return a timestamp as HubSpot writes it."""
    return format_timestamp(parse_timestamp(str(milliseconds)))


class PortalModel:
    """The contacts of a portal."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.live: dict[int, Object] = {}
        self.archived: dict[int, Object] = {}
        self.merged: dict[int, int] = {}
        self.step = 1  # milliseconds that a request takes
        self.plan: dict[int, Callable[[], object]] = {}
        self.short: set[int] = set()  # requests to search whose page ends early
        self.lies: dict[int, str] = {}  # requests that get less than there is, see `lie`
        self.dead_from: int | None = None  # the request from which on the token is refused
        self.requests = 0
        self._changes = 0
        self._index: dict[int, list[tuple[int, Object | None]]] = {}
        self._lock = threading.Lock()

    # Actions of its users; `late` is the lag of the index in milliseconds.

    def create(self, record_id: int, late: int) -> None:
        """Create a contact, unless the id was ever used."""
        if record_id not in self.live.keys() | self.archived.keys() | self.merged.keys():
            self._put(record_id, {"created": self.now, "merged": ()}, late)

    def edit(self, which: int, late: int) -> None:
        """Change a contact."""
        if found := self._some(self.live, which):
            self._put(found, self.live[found], late)

    def archive(self, which: int, late: int) -> None:
        """Archive a contact, which does not change its last-modified date."""
        if found := self._some(self.live, which):
            self.archived[found] = {**self.live.pop(found), "archived_at": self.now}
            self._tell_index(found, None, late)

    def restore(self, which: int, late: int, *, bumps: bool) -> None:
        """Restore a contact, which need not change its last-modified date."""
        if found := self._some(self.archived, which):
            back = {name: value for name, value in self.archived.pop(found).items() if name != "archived_at"}
            if bumps:
                self._put(found, back, late)
            else:
                self.live[found] = back
                self._tell_index(found, back, late)

    def merge(self, which: int, other: int, late: int) -> None:
        """Merge a contact into another."""
        loser, winner = self._some(self.live, which), self._some(self.live, other)
        if loser and winner and loser != winner:
            lost = self.live.pop(loser)
            for each in (loser, *lost["merged"]):
                self.merged[each] = winner
            self._tell_index(loser, None, late)
            old = self.live[winner]
            self._put(winner, {**old, "merged": (*old["merged"], loser, *lost["merged"])}, late)

    def _some(self, those: Mapping[int, Object], which: int) -> int | None:
        return sorted(those)[which % len(those)] if those else None

    def _put(self, record_id: int, old: Object, late: int) -> None:
        self._changes += 1
        self.live[record_id] = {**old, "modified": self.now, "name": f"n{self._changes}"}
        self._tell_index(record_id, self.live[record_id], late)

    def _tell_index(self, record_id: int, known: Object | None, late: int) -> None:
        self._index.setdefault(record_id, []).append((self.now + late, known))

    # Its replies.

    def __call__(self, request: Any) -> Answer:
        """Answer a request of the `requests` library, in the form that `responses` expects."""
        with self._lock:
            status, _, text = lie(self.lies.get(self.requests), *self._answer(request))
            date = format_datetime(parse_timestamp(str(self.now)), usegmt=True)
            return status, {"Date": date}, text

    def _answer(self, request: Any) -> Answer:
        number = self.requests
        self.requests += 1
        self.now += self.step
        if change := self.plan.get(number):
            change()
        if self.dead_from is not None and number >= self.dead_from:
            return 401, {}, "{}"
        url = urlsplit(request.url)
        if url.path.startswith("/crm/properties/"):
            definitions = [
                {"name": name, "type": type_name, "createdAt": timestamp(0)} for name, type_name in PROPERTIES.items()
            ]
            return 200, {}, json.dumps({"results": definitions})
        if url.path.startswith("/crm/limits/"):
            usage = [{"objectTypeId": "0-1", "usage": len(self.live)}]
            return 200, {}, json.dumps({"hubspotDefinedObjectTypes": usage})
        if request.method == "GET":
            return self._list({name: values[0] for name, values in parse_qs(url.query).items()})
        body = json.loads(request.body)
        if url.path.endswith("/batch/read"):
            return self._batch(body, self.archived if "archived=true" in url.query else self.live)
        return self._search(body, number)

    def _list(self, params: Mapping[str, str]) -> Answer:
        those = self.archived if params["archived"] == "true" else self.live
        found = [each for each in sorted(those) if each >= int(params.get("after", 0))]
        page = found[: int(params["limit"])]
        reply: dict[str, Any] = {"results": [self._shown(each, those[each]) for each in page]}
        if len(page) < len(found):
            reply["paging"] = {"next": {"after": str(page[-1] + 1)}}
        return 200, {}, json.dumps(reply)

    def _batch(self, body: Mapping[str, Any], those: Mapping[int, Object]) -> Answer:
        asked = [int(each["id"]) for each in body["inputs"]]
        there = sorted({self.merged.get(each, each) for each in asked} & those.keys())
        lost = [str(each) for each in asked if self.merged.get(each, each) not in those]
        errors = [{"category": "OBJECT_NOT_FOUND", "context": {"ids": lost}}] if lost else []
        results = [self._shown(each, those[each]) for each in there]
        return 200, {}, json.dumps({"results": results, "errors": errors, "completedAt": timestamp(self.now)})

    def _search(self, body: Mapping[str, Any], number: int) -> Answer:
        group = body.get("filterGroups") or [{"filters": []}]
        bounds = {(each["propertyName"], each["operator"]): int(each["value"]) for each in group[0]["filters"]}
        found = []
        for record_id in sorted(self._index):
            known = self.known(record_id)
            if known is None or not (
                bounds.get(("hs_object_id", "GT"), 0) < record_id <= bounds.get(("hs_object_id", "LTE"), record_id)
                and bounds.get((MODIFIED, "GTE"), 0) <= known["modified"]
                and known["modified"] < bounds.get((MODIFIED, "LT"), self.now + 1)
            ):
                continue
            found.append((record_id, known))
        start = int(body.get("after", 0))
        end = start + body["limit"]
        if end > MOST_RESULTS:
            return 400, {}, json.dumps({"message": "too far"})
        page = found[start:end]
        if number in self.short:
            page = page[: len(page) // 2]
        reply: dict[str, Any] = {"total": len(found), "results": [self._shown(*each) for each in page]}
        if end < len(found):
            reply["paging"] = {"next": {"after": str(end)}}
        return 200, {}, json.dumps(reply)

    def known(self, record_id: int) -> Object | None:
        """Return a contact as the index has it now."""
        return next((known for at, known in reversed(self._index.get(record_id, [])) if at <= self.now), None)

    def _shown(self, record_id: int, each: Object) -> dict[str, Any]:
        properties = {"hs_object_id": str(record_id), "name": each["name"], MODIFIED: timestamp(each["modified"])}
        properties["hs_merged_object_ids"] = ";".join(map(str, each["merged"])) or None
        shown = {
            "id": str(record_id),
            "createdAt": timestamp(each["created"]),
            "updatedAt": timestamp(each["modified"]),
        }
        shown |= {"archived": "archived_at" in each, "properties": properties}
        return shown | ({"archivedAt": timestamp(each["archived_at"])} if "archived_at" in each else {})


def lie(lie_name: str | None, status: int, headers: dict[str, str], text: str) -> Answer:
    """Return an incomplete answer of a type in `LIES`, if the answer has rows or a total."""
    body = json.loads(text)
    if lie_name is None or status != 200 or "results" not in body or any("type" in each for each in body["results"]):
        return status, headers, text
    if lie_name == "refused":
        return 400, headers, json.dumps({"message": "not now"})
    if lie_name in {"half", "half at the end"}:
        body["results"] = body["results"][: len(body["results"]) // 2]
    if lie_name in {"empty", "nothing"}:
        body["results"] = []
    if lie_name in {"half at the end", "the end", "nothing"}:
        body.pop("paging", None)
    if lie_name in {"few", "nothing"} and "total" in body:
        body["total"] = len(body["results"])
    return status, headers, json.dumps(body)
