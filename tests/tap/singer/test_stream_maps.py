"""Deletions pass every stream map: marked, with their key and the facts of the deletion."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.tap.running import run_tap

MARK = {"id", "_sdc_deleted_at"}
#: The map of contacts, the stream that then has the deletions, and the records of an archived and a merged contact.
MAPS: dict[str, tuple[dict[str, Any] | None, str, set[str] | None, set[str] | None]] = {
    "names what stays": ({"id": "id", "email": "email", "__else__": None}, "contacts", MARK, MARK),
    "a filter": ({"__filter__": "email == 'nobody'"}, "contacts", MARK | {"archived", "archived_at"}, None),
    "expressions": (
        {"shout": "email.upper()", "got": "record.get('email')", "into": "merged_into_id", "archived": None},
        "contacts",
        MARK | {"archived_at"},
        MARK | {"merged_into_id", "into"},
    ),
    "a hashed key": ({"id": "md5(id)"}, "contacts", MARK | {"archived", "archived_at"}, None),
    "an alias": ({"__alias__": "people"}, "people", MARK | {"archived", "archived_at"}, MARK | {"merged_into_id"}),
    "left out": (None, "contacts", None, None),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_deletion_passes_every_stream_map(sandbox_factory, tmp_path, name):
    each, stream, archived_has, merged_has = MAPS[name]
    sandbox = sandbox_factory(contacts=12, deals=1, associations=1, contact_properties=5, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    settings["stream_maps"] = {"contacts": each}
    first = run_tap(tmp_path, settings)
    assert first.returncode == 0, first.log
    archived, winner, loser = [record["id"] for record in sandbox.truth("0-1")][:3]
    sandbox.mutate(
        [
            {"kind": "archive", "type": "0-1", "id": archived},
            {"kind": "merge", "type": "0-1", "winner": winner, "loser": loser},
        ]
    )
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    deletes = {record["id"]: record for record in run.deletes(stream)}
    if archived_has is None:
        assert not deletes
        return
    schemas = [
        message["schema"] for message in run.messages if (message["type"], message.get("stream")) == ("SCHEMA", stream)
    ]
    assert all("_sdc_deleted_at" in schema["properties"] for schema in schemas)
    hashed = name == "a hashed key"
    keys = [hashlib.md5(key.encode()).hexdigest() if hashed else key for key in (archived, loser)]
    assert deletes.keys() == set(keys)
    assert deletes[keys[0]].keys() == archived_has
    if merged_has is not None:
        assert deletes[keys[1]].keys() == merged_has


def test_a_copy_of_a_stream_has_its_deletions_and_a_key_that_they_lack_is_reported(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=12, deals=1, associations=1, contact_properties=5, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    settings["stream_maps"] = {
        "copied": {"__source__": "contacts", "id": "id", "__else__": None},
        "by_email": {"__source__": "contacts", "__key_properties__": ["email"]},
    }
    first = run_tap(tmp_path, settings)
    archived = next(iter(sandbox.truth("0-1")))["id"]
    sandbox.mutate([{"kind": "archive", "type": "0-1", "id": archived}])
    run = run_tap(tmp_path, settings, state=first.state)
    assert [record.keys() for record in run.deletes("copied")] == [MARK]
    assert [record["id"] for record in run.deletes("contacts")] == [archived]
    assert "The stream map of by_email builds the key email from properties that a deletion does not have" in run.log


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("int(dealname)", "An expression of the stream map of deals fails for the values of a record (ValueError)"),
        ("1 / (len(dealname) * 0)", "An expression of the stream map of deals fails for the values of a record ("),
        ("unknown(dealname)", "An expression of the stream map of deals fails for the values of a record ("),
        ("dealname +", "Failed to parse expression dealname +"),
    ],
)
def test_an_expression_that_fails_ends_the_run_in_one_sentence_without_the_records_values(
    config, tmp_path, expression, sentence
):
    """The tap has no place for rejected records."""
    run = run_tap(tmp_path, config | {"objects": ["deals"], "stream_maps": {"deals": {"made": expression}}})
    assert run.returncode == 1
    assert sentence in run.log
    assert "Traceback" not in run.log
    assert "invalid literal" not in run.log
