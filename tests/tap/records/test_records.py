"""A HubSpot object becomes a Singer record without loss."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tap_hubspot_dw.errors import MisshapenReplyError
from tap_hubspot_dw.records.delete_records import archived_records, merged_records
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.records.schemas import OBJECT_COLUMNS, column_name, columns, object_schema, property_name

DEFINITIONS = [
    {"name": "email", "type": "string", "label": "Email", "description": "Where to write"},
    {"name": "score", "type": "number", "label": "Score", "description": ""},
    {"name": "vip", "type": "bool"},
    {"name": "born", "type": "date"},
    {"name": "seen", "type": "datetime"},
    {"name": "tags", "type": "enumeration"},
    {"name": "extra", "type": "json"},
    {"name": "hs_object_id", "type": "number"},
    {"name": "archived", "type": "string"},
    {"name": "later", "type": "a type of 2030"},
]
SCHEMA = object_schema(DEFINITIONS)


def hubspot_object(**properties):
    return {
        "id": "51",
        "properties": {"hs_object_id": "51", **properties},
        "createdAt": "2021-08-27T17:57:57.577Z",
        "updatedAt": "2022-02-17T18:00:01Z",
        "archived": False,
        "url": "https://app.hubspot.com/contacts/1/record/0-1/51",
    }


def record_of(**properties):
    chosen = columns(SCHEMA, SCHEMA["properties"])
    decoder = PageDecoder((column.property_name for column in chosen), chosen)
    (record,) = page_of([hubspot_object(**properties)], decoder).records
    return record.as_dict()


def page_of(objects, decoder=IDS_ONLY) -> ObjectPage:
    return decoder.decode(json.dumps({"results": objects}).encode())["results"]


def test_every_property_lands_in_its_own_column_with_its_own_type():
    record = record_of(
        email="a@b.c",
        score="1.50",
        vip="true",
        born="2026-11-30",
        seen="1774872000000",
        tags="a;b",
        extra='{"a": 1}',
        later="x",
        archived="not ours",
    )
    assert record == {
        "id": "51",
        "created_at": "2021-08-27T17:57:57.577Z",
        "updated_at": "2022-02-17T18:00:01.000Z",
        "archived": False,
        "archived_at": None,
        "merged_into_id": None,
        "url": "https://app.hubspot.com/contacts/1/record/0-1/51",
        "invalid_properties": None,
        "_sdc_deleted_at": None,
        "email": "a@b.c",
        "score": Decimal("1.50"),
        "vip": True,
        "born": "2026-11-30",
        "seen": "2026-03-30T12:00:00.000Z",
        "tags": "a;b",
        "extra": '{"a": 1}',
        "hs_object_id": "51",
        "property_archived": "not ours",
        "later": "x",
    }
    assert record.keys() == SCHEMA["properties"].keys()


def test_a_cleared_value_is_null_and_cleared_text_stays_empty():
    record = record_of(score="", vip="", born="", seen="", email="")
    assert [record[name] for name in ("score", "vip", "born", "seen", "email")] == [None, None, None, None, ""]
    assert record["invalid_properties"] is None


def test_a_value_that_does_not_fit_is_null_and_its_text_is_kept():
    record = record_of(score="N/A", vip="maybe", born="0000-00-00", seen="20225-01-01T00:00:00Z")
    assert [record[name] for name in ("score", "vip", "born", "seen")] == [None] * 4
    assert record["invalid_properties"] == {
        "score": "N/A",
        "vip": "maybe",
        "born": "0000-00-00",
        "seen": "20225-01-01T00:00:00Z",
    }


def test_one_unusual_value_in_a_page_does_not_affect_the_others():
    chosen, scores = columns(SCHEMA, ["score"]), ["1", "N/A", None, "", "2.5"]
    decoder = PageDecoder(["score"], chosen)
    objects = [{**hubspot_object(score=score), "id": str(number)} for number, score in enumerate(scores)]
    records = [each.as_dict() for each in page_of(objects, decoder).records]
    assert [each["score"] for each in records] == [1, None, None, None, Decimal("2.5")]
    assert [each["invalid_properties"] for each in records] == [None, {"score": "N/A"}, None, None, None]
    assert page_of([], decoder) == ObjectPage([], [], [], [], [])


def test_the_taps_own_columns_come_first_in_the_schemas_order():
    assert list(record_of())[: len(OBJECT_COLUMNS)] == list(OBJECT_COLUMNS)


def test_a_delete_record_has_only_the_facts_of_the_deletion():
    archived = hubspot_object(hs_merged_object_ids="7") | {"archived": True, "archivedAt": "2026-11-01T08:00:00Z"}
    timestamp = "2026-11-01T08:00:00.000Z"
    (archival,) = page_of([archived]).archivals()
    assert list(archived_records(*archival)) == [
        {"id": "51", "archived": True, "archived_at": timestamp, "_sdc_deleted_at": timestamp},
        {"id": "7", "merged_into_id": "51", "_sdc_deleted_at": timestamp},
    ]


@pytest.mark.parametrize(("merged_ids", "losers"), [(None, []), ("", []), ("7", ["7"]), ("7;8 ; 9", ["7", "8", "9"])])
def test_each_merged_away_id_becomes_a_delete_record_that_names_the_survivor(merged_ids, losers):
    page = page_of([hubspot_object(hs_merged_object_ids=merged_ids)], PageDecoder([], []))
    merges = [(page.records[place], ids) for place, ids in page.merges()]
    deletes = [each for survivor, ids in merges for each in merged_records(survivor.id, ids, survivor.updated_at)]
    assert deletes == [
        {"id": loser, "merged_into_id": "51", "_sdc_deleted_at": "2022-02-17T18:00:01.000Z"} for loser in losers
    ]


@pytest.mark.parametrize("name", ["email", *OBJECT_COLUMNS, "property_id", "property_property_id", "property_email"])
def test_the_way_from_property_to_column_and_back_is_unique(name):
    assert property_name(column_name(name)) == name
    assert column_name(name) not in OBJECT_COLUMNS


def test_a_schema_has_hubspots_labels_and_descriptions():
    assert SCHEMA["properties"]["email"] == {
        "type": ["string", "null"],
        "title": "Email",
        "description": "Where to write",
    }


def test_only_selected_columns_are_read():
    assert [column.name for column in columns(SCHEMA, ["id", "email", "vip"])] == ["email", "vip"]


def test_an_archived_object_without_a_time_is_still_deleted():
    (archival,) = page_of([hubspot_object() | {"archived": True}]).archivals()
    (record,) = archived_records(*archival)
    assert record["_sdc_deleted_at"] == "2022-02-17T18:00:01.000Z"


def test_an_archived_object_without_any_time_is_an_error():
    with pytest.raises(MisshapenReplyError, match="without a time"):
        list(page_of([{"id": "51", "properties": {}}]).archivals())


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, None), (17, "17"), (True, "true"), ({"a": [1]}, '{"a": [1]}'), ("\ud800", "\ufffd")],
)
def test_a_value_that_is_not_text_becomes_its_json(value, text):
    decoder = PageDecoder(["email"], columns(SCHEMA, ["email", "hs_object_id"]))
    paging = {"next": {"after": "52"}}
    reply = decoder.decode(json.dumps({"results": [hubspot_object(email=value)], "paging": paging}).encode())
    (record,) = reply["results"].records
    assert [record.as_dict()[name] for name in ("email", "hs_object_id")] == [text, "51"]
    assert reply["paging"] == paging


def test_an_object_without_properties_has_none_of_them():
    (record,) = page_of([{"id": "1", "properties": {}}], PageDecoder(["email"], columns(SCHEMA, ["email"]))).records
    assert record.as_dict()["email"] is None


PAGE = page_of([hubspot_object(hs_merged_object_ids=text) | {"id": id_} for id_, text in (("5", "1"), ("7", "2"))])


def test_a_part_of_a_page_keeps_what_belongs_to_its_objects():
    other = page_of([hubspot_object(hs_merged_object_ids="3") | {"id": "6"}])
    page = PAGE + other
    assert page.in_order_of([6, 9, 5]).ids == [6, 5]
    assert list(page.in_order_of([6, 9, 5]).merges()) == [(0, ["3"]), (1, ["1"])]
    assert page.only({7}).merged == ["2"]
    assert [page.between(*ends).ids for ends in ((5,), (5, 6), (4, 7))] == [[7, 6], [6], [5, 7, 6]]
    assert not ObjectPage()
    assert not page.only(())
