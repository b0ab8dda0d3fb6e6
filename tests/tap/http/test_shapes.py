"""Replies of another shape are refused in one sentence by every decoder, and never become rows."""

from __future__ import annotations

import json
import logging
import time

import pytest

from hubspot_sandbox.api.associations import write_cursor
from tap_hubspot_dw.errors import HubSpotError, MisshapenReplyError, ReplyError
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.association_reader import AssociationReader
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tap_hubspot_dw.reading.change_window import Window
from tap_hubspot_dw.records.converters import to_number
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.records.schemas import Column
from tap_hubspot_dw.timestamps import parse_timestamp
from tests.tap.running import run_tap

CONTACTS, DEALS = STANDARD_TYPES["contacts"], STANDARD_TYPES["deals"]
GOOD = {"id": "7", "properties": {"email": "a", "amount": "1"}, "createdAt": "2026-01-01T00:00:00Z"}
GOOD |= {"updatedAt": "2026-01-01T00:00:00Z", "archived": False}


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in GOOD.items() if key != name}


# Undocumented values in any reply, in a record and in an association.
NO_RESULTS = [None, {}, "text", 5, True, [5], ["text"], [None], [[]]]
NO_PAGING = ["x", 5, [], True, {"next": "x"}, {"next": []}, {"next": {}}, {"next": {"after": None}}]
NO_PAGING += [{"next": {"after": []}}, {"next": {"after": ""}}]
NO_TOTAL = [-1, "5", None, 1.5, [], True]
NO_IDS = [None, "", "x", "7x", " 7", "-7", "\u0667", "\u00b2", 1.5, -7, [], {}, True, "1e3", "7\n"]
NO_MOMENTS = ["yesterday", "", [], {}, 99, "0000-00-00", "9" * 30]
NO_OBJECTS = [
    {},
    without("id"),
    without("properties"),
    *({**GOOD, "id": each} for each in (*NO_IDS, "9" * 19, 10**18)),
    *({**GOOD, "properties": each} for each in (None, [], "x", 5, [["email", "a"]])),
    *({**GOOD, "archivedAt": each} for each in NO_MOMENTS),
    {**GOOD, "archived": "true"},
    {**GOOD, "url": 5},
]
TYPE = {"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}
EDGE = {"toObjectId": "9", "associationTypes": [TYPE]}
NO_TYPES = [None, ["x"], [{}], [{**TYPE, "typeId": "x"}], [{**TYPE, "category": None}], [{**TYPE, "label": 5}]]
NO_TARGETS = [None, {}, "x", ["x"], [{}], [None], [{"toObjectId": "9"}]]
NO_TARGETS += [[{**EDGE, "toObjectId": each}] for each in (None, "x", "", 1.5, [])]
NO_TARGETS += [[{**EDGE, "associationTypes": each}] for each in NO_TYPES]
NO_EDGES = [
    {},
    {"to": [EDGE]},
    {"from": {"id": "1"}},
    *({"from": each, "to": [EDGE]} for each in (None, "1", [], {}, {"id": None}, {"id": "x"}, {"id": -1})),
    *({"from": {"id": "1"}, "to": each} for each in NO_TARGETS),
    {"from": {"id": "1"}, "to": [EDGE], "paging": {"next": {}}},
]
DESCRIBED = {
    "schemas": [{}, {"objectTypeId": "2-1"}, {"name": "x"}, {"objectTypeId": 5, "name": "x"},
                {"objectTypeId": "2-1", "name": "x", "labels": "x"}],
    "pipelines": [{}, {"id": "x"}, {"stages": []}, {"id": "x", "stages": None}, {"id": "x", "stages": [{}]},
                  {"id": None, "stages": []}, {"id": "x", "stages": ["x"]}, {"id": "x", "stages": [{"id": ""}]}],
}  # fmt: skip


COLUMNS = [Column("email", "email", None), Column("amount", "amount", to_number)]


def plain_decoder() -> PageDecoder:
    return PageDecoder(["email", "amount"], COLUMNS)


def written_decoder() -> PageDecoder:
    """The same, with records written in C if there is a compiler."""
    return PageDecoder(["email", "amount"], COLUMNS, in_c=True)


WAYS = {"python": plain_decoder(), "C": written_decoder(), "ids": IDS_ONLY}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("extra", ["", "\\ud800"], ids=["plain", "with a lone surrogate"])
def test_a_record_of_another_shape_is_refused_in_every_way(way, extra):
    replies = [{"results": each} for each in NO_RESULTS] + [{"results": [GOOD, each]} for each in NO_OBJECTS]
    replies += [{"results": [GOOD], "paging": each} for each in NO_PAGING]
    replies += [{"results": [GOOD], "total": each} for each in NO_TOTAL] + [{}]
    wrong = []
    for reply in replies:
        content = json.dumps({**reply, "more": "?"}).replace("?", extra).encode()
        try:
            way.decode(content)
        except MisshapenReplyError:
            continue
        wrong.append(reply)
    assert wrong == []
    good = json.dumps({"results": [GOOD], "more": "?"}).replace("?", extra).encode()
    assert way.decode(good)["results"].ids == [7]


def test_an_id_may_be_a_number():
    for way in WAYS.values():
        reply = way.decode(json.dumps({"results": [{**GOOD, "id": 10**18 - 1}]}).encode())
        assert reply["results"].ids == [10**18 - 1]


@pytest.mark.parametrize("older", ["2025-12-31T23:59:59.999Z", None, "never"])
@pytest.mark.parametrize("way", ["python", "C"])
def test_of_an_object_that_a_reply_has_twice_the_newest_version_counts(way, older):
    """Of versions with the same date it is the later one."""
    old, new, other = ({**GOOD, "properties": {"email": text}} for text in ("old", "new", "other"))
    old["updatedAt"] = older
    for objects in ([new, old], [old, new], [{**old, "updatedAt": GOOD["updatedAt"]}, new], [old, new, old, old]):
        page = WAYS[way].decode(json.dumps({"results": [*objects, {**other, "id": "8"}]}).encode())["results"]
        assert page.ids == [7, 8]
        assert [each.as_dict()["email"] for each in page.records] == ["new", "other"]


@pytest.mark.parametrize("decoded", [shapes.rows, shapes.associations, shapes.owners, *shapes.DESCRIPTIONS.values()])
def test_a_reply_without_a_list_of_objects_is_refused(decoded):
    for results in NO_RESULTS:
        with pytest.raises(MisshapenReplyError):
            decoded(json.dumps({"results": results}).encode())
    for paging in NO_PAGING:
        with pytest.raises(MisshapenReplyError):
            decoded(json.dumps({"results": [], "paging": paging}).encode())
    for content in (b"[]", b"null", b"1", b'"x"', b"{}"):
        with pytest.raises(MisshapenReplyError):
            decoded(content)
    assert decoded(b'{"results": []}')["results"] == []


def test_associations_of_another_shape_are_refused():
    for result in NO_EDGES:
        with pytest.raises(MisshapenReplyError):
            shapes.associations(json.dumps({"results": [result]}).encode())


@pytest.mark.parametrize("need", DESCRIBED)
def test_a_description_of_another_shape_is_refused(need):
    for row in DESCRIBED[need]:
        with pytest.raises(MisshapenReplyError):
            shapes.DESCRIPTIONS[need](json.dumps({"results": [row]}).encode())


@pytest.mark.parametrize("content", [b'{"total": null}', b"{}", b'{"total": -1}', b'{"total": "5"}', b"[]"])
def test_an_invalid_count_is_refused(content):
    with pytest.raises(MisshapenReplyError):
        shapes.counted(content)


# On the wire


def portal_of(sandbox) -> Portal:
    logger = logging.getLogger("test")
    client = Client(sandbox.url, StaticToken(sandbox.token), timeout_seconds=5, user_agent="x", logger=logger)
    return Portal(Api(client, "2026-09", logger))


@pytest.fixture
def portal(clean_portal):
    return portal_of(clean_portal)


def reader_of(portal) -> AssociationReader:
    return AssociationReader(portal, logging.getLogger("test"))


ASKED = {
    "list contacts": lambda portal: portal.lists.live(CONTACTS, IDS_ONLY),
    "search contacts": lambda portal: [portal.searches.count(CONTACTS)],
    "batch read contacts": lambda portal: portal.batch_reads.live(CONTACTS, [1], IDS_ONLY),
    "owners": lambda portal: portal.descriptions.owners(),
    "pipelines deals": lambda portal: portal.descriptions.pipelines(DEALS),
    "properties contacts": lambda portal: portal.descriptions.properties(CONTACTS),
    "schemas": lambda portal: portal.descriptions.schemas(),
    "associations batch read": lambda portal: reader_of(portal).read(DEALS, CONTACTS, [1]),
    "list contacts archived": lambda portal: portal.lists.archived(CONTACTS),
}


@pytest.mark.parametrize("fault", [{"body": '{"results": {}}'}, {"cut": "short"}], ids=str)
@pytest.mark.parametrize("endpoint", ASKED)
def test_an_unusable_reply_is_retried(portal, clean_portal, endpoint, fault):
    clean_portal.faults([{"match": endpoint, "nth": 1, **fault}])
    list(ASKED[endpoint](portal))
    assert clean_portal.fault_counts()[0]["fired"] == 1


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_cursors_that_repeat_end_the_stream(portal, clean_portal, length):
    for endpoint in ("list contacts", "owners", "list contacts archived"):
        turns = [
            {"match": endpoint, "every": length, "edit": {"paging": {"next": {"after": "1"}}}},
            *(
                {"match": endpoint, "edit": {"paging": {"next": {"after": str(n)}}}, "every": n}
                for n in range(length, 1, -1)
            ),
            {"match": endpoint, "edit": {"paging": {"next": {"after": "0"}}}},
        ]
        clean_portal.faults(turns)
        with pytest.raises(ReplyError, match="does not advance"):
            list(ASKED[endpoint](portal))


def test_association_cursors_that_repeat_end_the_pair(portal, clean_portal):
    edges = clean_portal.truth_associations()
    first = next(each for each in edges if (each["fromType"], each["toType"]) == (DEALS.type_id, CONTACTS.type_id))
    after = [{"results.*.paging": {"next": {"after": write_cursor(CONTACTS.type_id, n)}}} for n in (1, 2)]
    clean_portal.faults(
        [{"match": "associations", "every": 2, "edit": after[0]}, {"match": "associations", "edit": after[1]}]
    )
    with pytest.raises(ReplyError, match="repeat a page"):
        list(reader_of(portal).read(DEALS, CONTACTS, [int(first["fromId"])]))


def test_a_search_that_ignores_its_window_ends(portal, clean_portal):
    list(portal.lists.live(CONTACTS, IDS_ONLY))  # the replies state no limit
    clean_portal.reset()
    objects = [{**GOOD, "id": each} for each in ("9", "7")]
    more = {"paging": {"next": {"after": "2"}}}
    clean_portal.faults([{"match": "search", "edit": {"results": objects, "total": 2, **more}}])
    window = Window(parse_timestamp("2026-01-01"), parse_timestamp("2026-11-30"))
    with pytest.raises(ReplyError, match="ignores its slices of time"):
        list(portal.searches.changed_in_slices(CONTACTS, window, IDS_ONLY))
    assert clean_portal.log()["total"] < 500


ALL_WRONG = [
    ("list", {"results": None}), ("list", {"results.*.id": "x"}), ("list", {"results.*.properties": None}),
    ("associations batch read", {"results.*.to": None}), ("search", {"total": None}),
    ("owners", {"results.*.id": None}),
    ("pipelines", {"results.*.stages": {}}), ("properties", {"results": ["x"]}), ("schemas", {"results": ["x"]}),
    ("owners", {"results.*.createdAt": "yesterday"}), ("pipelines deals", {"results.*.stages.*.createdAt": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("match", "edit"), ALL_WRONG, ids=[f"{match} {edit}" for match, edit in ALL_WRONG])
def test_a_run_with_replies_of_another_shape_says_so_without_a_traceback(clean_portal, tmp_path, match, edit):
    clean_portal.faults([{"match": match, "edit": edit}])
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["divisions", "deals"]}
    started = time.monotonic()
    run = run_tap(tmp_path, settings)
    assert run.returncode == 1, run.log
    assert "Traceback" not in run.log
    assert "ERROR" in run.log or "CRITICAL" in run.log
    assert time.monotonic() - started < 40


def test_the_error_names_the_place_of_an_unknown_shape(portal, clean_portal):
    clean_portal.faults([{"edit": {"results.*.properties": "x"}}])
    with pytest.raises(HubSpotError, match=r"in 3 tries .*unknown shape .Expected `object`, got `str`.*properties"):
        list(portal.lists.live(CONTACTS, IDS_ONLY))
