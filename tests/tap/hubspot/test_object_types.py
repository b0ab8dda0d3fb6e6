"""A name in the settings resolves to exactly one object type, or to an error that lists the objects."""

from __future__ import annotations

import pytest

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.object_types import needs_schemas, resolve
from tap_hubspot_dw.reading.association_pairs import pairs

DIVISION = {
    "name": "division",
    "fullyQualifiedName": "p62515_division",
    "objectTypeId": "2-3821545",
    "labels": {"singular": "Division", "plural": "Divisions"},
}
TEAM = {
    "name": "team",
    "fullyQualifiedName": "p62515_team",
    "objectTypeId": "2-4",
    "labels": {"singular": "Team", "plural": "Divisions"},
}


@pytest.mark.parametrize("name", ["division", "Divisions", "divisions", "p62515_division", "DIVISION", "2-3821545"])
def test_a_custom_object_matches_by_any_of_its_names(name):
    object_type = resolve(name, {}, [DIVISION])
    assert (object_type.name, object_type.type_id, object_type.modified_property) == (
        name,
        "2-3821545",
        "hs_lastmodifieddate",
    )


@pytest.mark.parametrize(("name", "type_id"), [("contacts", "0-1"), ("Deals", "0-3"), ("0-421", "0-421")])
def test_a_standard_object_needs_no_look_up(name, type_id):
    assert not needs_schemas(name, {})
    assert resolve(name, {}, []).type_id == type_id


def test_a_pinned_id_takes_precedence_and_keeps_a_standard_types_traits():
    assert resolve("divisions", {"divisions": "2-9"}, [DIVISION]).type_id == "2-9"
    assert resolve("people", {"people": "0-1"}, []).modified_property == "lastmodifieddate"


@pytest.mark.parametrize(
    ("name", "schemas", "said"),
    [
        ("widgets", [DIVISION], r'no object called "widgets".*division \(2-3821545\)'),
        ("divisions", [DIVISION, TEAM], r'2 objects called "divisions"'),
    ],
)
def test_a_name_that_matches_none_or_several_is_refused_with_a_list_of_objects(name, schemas, said):
    with pytest.raises(SettingsError, match=said):
        resolve(name, {}, schemas)


def test_every_pair_is_read_once_from_its_higher_rank():
    object_types = [resolve(name, {}, [DIVISION]) for name in ("contacts", "divisions", "deals")]
    assert [pair.name for pair in pairs(object_types, None)] == [
        "divisions:divisions",
        "divisions:deals",
        "divisions:contacts",
        "deals:deals",
        "deals:contacts",
        "contacts:contacts",
    ]
    assert [pair.name for pair in pairs(object_types, [("contacts", "deals")])] == ["deals:contacts"]
