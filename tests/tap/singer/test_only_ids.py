"""The setting `only_ids` reads some records as HubSpot has them now, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.tap.running import run_tap


@pytest.fixture
def chosen(sandbox):
    """The tap's settings for a portal of the test's own; `only_ids` is added."""
    return {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}


@pytest.fixture
def sandbox(sandbox_factory):
    """A small portal."""
    sandbox = sandbox_factory(contacts=60, deals=20, associations=50, contact_properties=20, tier="unlimited")
    sandbox.reset()
    return sandbox


def ids_of(sandbox, object_type: str, count: int) -> list[str]:
    return [each["id"] for each in list(sandbox.truth(object_type))[:count]]


def test_these_records_come_with_hubspots_totals_and_no_state(sandbox, chosen, tmp_path):
    ids = ids_of(sandbox, "contacts", 3)
    run = run_tap(tmp_path, chosen | {"only_ids": {"contacts": ids}})
    assert run.returncode == 0, run.log
    assert sorted(each["id"] for each in run.records("contacts")) == sorted(ids)
    assert {each["type"] for each in run.messages} == {"SCHEMA", "RECORD"}
    history = {each["stream"]: each for each in run.records("sync_history")}
    assert {stream: each["hubspot_total"] for stream, each in history.items()} == {
        "contacts": 60,
        "deals": 20,
        "associations": None,
    }
    assert history["contacts"]["mode"] == "chosen"


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_they_have_the_version_of_the_state_also_while_a_full_pass_is_interrupted(
    is_interrupted, sandbox, chosen, tmp_path
):
    """Otherwise the end of the pass, which does not read them again, would mark them as deleted."""
    first = run_tap(tmp_path, chosen)
    saved = first.state["bookmarks"]["contacts"]
    version = saved["version"]
    if is_interrupted:
        version += 1
        saved["full_pass"] = {"version": version, "started_at": saved["full_pass_at"], "ranges": [[0, None, 60]]}
    ids = ids_of(sandbox, "contacts", 3)
    only = {"only_ids": {"contacts": ids}, "reread_since": "2020-01-01"}
    run = run_tap(tmp_path, chosen | only, state=first.state)
    sent = {each["version"] for each in run.messages if each["type"] == "RECORD" and each["stream"] == "contacts"}
    assert sent == {version}
    assert "STATE" not in {each["type"] for each in run.messages}


def test_a_record_that_is_no_longer_live_comes_as_a_delete_record_with_the_reason(sandbox, chosen, tmp_path):
    archived, merged, gone, survivor = ids_of(sandbox, "contacts", 4)
    sandbox.mutate(
        [
            {"kind": "archive", "type": "contacts", "id": archived},
            {"kind": "merge", "type": "contacts", "winner": survivor, "loser": merged},
            {"kind": "gdpr-delete", "type": "contacts", "id": gone},
        ]
    )
    run = run_tap(tmp_path, chosen | {"only_ids": {"contacts": [archived, merged, gone]}})
    assert run.returncode == 0, run.log
    assert run.records("contacts") == []
    deletes = {each["id"]: each for each in run.deletes("contacts")}
    assert deletes.keys() == {archived, merged}
    assert deletes[archived]["archived_at"]
    assert deletes[merged]["merged_into_id"] == survivor


def test_ids_that_hubspot_does_not_know_are_counted_and_the_first_are_named(sandbox, chosen, tmp_path):
    """One warning for each object; archived ids are known, and an id with a leading zero is another id."""
    known, archived, gone = ids_of(sandbox, "contacts", 3)
    sandbox.mutate(
        [
            {"kind": "archive", "type": "contacts", "id": archived},
            {"kind": "gdpr-delete", "type": "contacts", "id": gone},
        ]
    )
    unknown = [gone, f"0{known}", *(str(10**12 + number) for number in range(150))]
    only = {"contacts": [known, archived, *unknown, unknown[-1]], "deals": ids_of(sandbox, "deals", 1)}
    run = run_tap(tmp_path, chosen | {"only_ids": only})
    assert run.returncode == 0, run.log
    assert "contacts: HubSpot does not know 152 of the 154 ids of only_ids, or has deleted them for good: " in run.log
    assert {gone, f"0{known}"} <= set(run.log.partition("for good: ")[2].partition(", ….")[0].split(", "))
    assert run.log.count("HubSpot does not know") == 1
    assert [each["id"] for each in run.records("contacts")] == [known]
    assert [each["id"] for each in run.deletes("contacts")] == [archived]


def test_a_type_whose_archived_records_cannot_be_read_by_id_does_not_fail(sandbox, chosen, tmp_path):
    known, archived = ids_of(sandbox, "contacts", 2)
    sandbox.mutate([{"kind": "archive", "type": "contacts", "id": archived}])
    sandbox.faults([{"match": "batch read contacts", "nth": 2, "status": 400}])
    run = run_tap(tmp_path, chosen | {"only_ids": {"contacts": [known, archived]}})
    assert run.returncode == 0, run.log
    assert [each["id"] for each in run.records("contacts")] == [known]
    assert "contacts: HubSpot does not give archived records by id here" in run.log
    assert "contacts: HubSpot does not know 1 of the 2 ids of only_ids" in run.log


def test_changes_since_a_date_come_too(sandbox, chosen, tmp_path):
    edited, archived, asked = ids_of(sandbox, "contacts", 3)
    since = sandbox.clock.now()
    sandbox.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": edited, "properties": {"lastname": "Now"}},
            {"kind": "archive", "type": "contacts", "id": archived},
        ]
    )
    config = chosen | {"only_ids": {"contacts": [asked]}, "reread_since": since, "lookback_minutes": 0}
    run = run_tap(tmp_path, config)
    assert run.returncode == 0, run.log
    assert {each["id"] for each in run.records("contacts")} == {edited, asked}
    assert [each["id"] for each in run.deletes("contacts")] == [archived]


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ({"tickets": ["1"]}, "which is not one of the setting objects"),
        ({"deals": ["one"]}, "that are not numbers"),
        ({"owners": ["1"]}, 'has ids of "owners"; write ["*"], which reads all of them.'),
    ],
)
def test_ids_that_cannot_be_requested_are_refused(chosen, tmp_path, only, sentence):
    run = run_tap(tmp_path, chosen | {"only_ids": only})
    assert run.returncode == 1
    assert sentence in run.log


def test_their_associations_come_too_from_either_side(sandbox, chosen, tmp_path):
    """Contacts are the second side of deals and contacts; nothing else is written, and no state."""
    full = run_tap(tmp_path, chosen).records("associations")
    contact, deal = full[0]["to_id"], next(each["from_id"] for each in full if each["to_id"] != full[0]["to_id"])
    run = run_tap(tmp_path, chosen | {"only_ids": {"contacts": [contact, "999999999"], "deals": [deal]}})
    assert run.returncode == 0, run.log
    sides = (("from_object_type", "from_id"), ("to_object_type", "to_id"))
    wanted = [
        each
        for each in full
        if any((each[side], each[id_]) in {("contacts", contact), ("deals", deal)} for side, id_ in sides)
    ]
    assert wanted
    assert sorted(map(repr, run.records("associations"))) == sorted(map(repr, wanted))
    assert {each["type"] for each in run.messages} == {"SCHEMA", "RECORD"}


def test_associations_of_a_deleted_record_are_not_requested(sandbox, chosen, tmp_path):
    """HubSpot refuses a request that names one, and it would have to be isolated among a thousand."""
    live, gone = ids_of(sandbox, "contacts", 2)
    sandbox.mutate([{"kind": "archive", "type": "contacts", "id": gone}])
    run = run_tap(tmp_path, chosen | {"only_ids": {"contacts": [live, gone]}})
    assert run.returncode == 0, run.log
    assert "skipped" not in run.log


def known_ids(tmp_path, **ids: list[str]) -> dict[str, str]:
    path = tmp_path / "known.json"
    path.write_text(json.dumps(ids))
    return {"known_ids": str(path)}


def test_hubspots_totals_lead_to_the_ids_that_differ_from_a_table(sandbox_factory, tmp_path):
    """A dozen totals for one id of thousands; records that the table has are not read."""
    portal = sandbox_factory(contacts=3_000, deals=0, associations=0, contact_properties=0, tier="unlimited")
    settings = {"api_url": portal.url, "access_token": portal.token, "objects": ["contacts"]}
    ids = ids_of(portal, "contacts", 3_000)
    gone, archived, lacking = ids[700], ids[1_500], ids[2_400]
    portal.mutate(
        [
            {"kind": "gdpr-delete", "type": "contacts", "id": gone},
            {"kind": "archive", "type": "contacts", "id": archived},
        ]
    )
    file = known_ids(tmp_path, contacts=[each for each in ids if each != lacking])
    run = run_tap(tmp_path, settings | file)
    assert run.returncode == 0, run.log
    assert [each["id"] for each in run.records("contacts")] == [lacking]
    assert {each["id"] for each in run.deletes("contacts")} == {gone, archived}
    (history,) = (each for each in run.records("sync_history") if each["stream"] == "contacts")
    assert history["requests"] < 50
    file = known_ids(tmp_path, contacts=[each for each in ids if each not in {gone, archived}])
    assert not [each for each in run_tap(tmp_path, settings | file).messages if each.get("stream") == "contacts"][1:]


@pytest.mark.parametrize("text", ["", "[1]", '{"contacts": 1}', '{"contacts": ["x"]}', '{"tickets": ["1"]}', None])
def test_an_invalid_file_of_known_ids_ends_in_one_sentence(chosen, tmp_path, text):
    path = tmp_path / "ids.json"
    if text is not None:
        path.write_text(text)
    run = run_tap(tmp_path, chosen | {"known_ids": str(path)})
    assert run.returncode == 1
    assert "known_ids" in run.log
    assert "Traceback" not in run.log


def test_the_small_streams_are_read_completely_and_nothing_is_marked(sandbox, chosen, tmp_path):
    """Only the named ones are read; without state no list is known to be whole, so no deletions are activated."""
    whole = run_tap(tmp_path, chosen)
    run = run_tap(tmp_path, chosen | {"only_ids": {"owners": ["*"], "pipeline_stages": ["*"]}})
    assert run.returncode == 0, run.log
    assert {each["type"] for each in run.messages} == {"SCHEMA", "RECORD"}
    for stream in ("owners", "pipeline_stages"):
        assert run.records(stream) == whole.records(stream) != []
    assert {each["stream"] for each in run.messages} == {
        *("owners", "pipeline_stages", "contacts", "deals", "associations", "sync_history")
    }
    assert {each["mode"] for each in run.records("sync_history")} == {"chosen"}
