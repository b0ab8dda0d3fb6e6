"""The first run reads everything that HubSpot has, once, and activates its version after that."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.tap.running import discover, run_tap

TYPES = {"contacts": "0-1", "appointments": "0-421", "divisions": "divisions", "deals": "0-3"}


@pytest.fixture(scope="module")
def run(portal, tmp_path_factory):
    settings = {"api_url": portal.url, "access_token": portal.token}
    run = run_tap(tmp_path_factory.mktemp("full"), settings)
    assert run.returncode == 0, run.log
    return run


@pytest.mark.parametrize(("stream", "object_type"), TYPES.items())
def test_every_live_object_comes_exactly_once(run, portal, stream, object_type):
    ids = Counter(record["id"] for record in run.records(stream))
    assert ids == Counter(each["id"] for each in portal.truth(object_type))


def test_associations_have_every_type_of_every_edge_from_one_side(run, portal):
    schema = portal_type_ids(portal)
    order = ["divisions", "appointments", "deals", "contacts"]
    expected = Counter(
        (schema[each["fromType"]], each["fromId"], schema[each["toType"]], each["toId"], each["typeId"], each["label"])
        for each in portal.truth_associations()
        if {each["fromType"], each["toType"]} <= schema.keys()
        and order.index(schema[each["fromType"]]) <= order.index(schema[each["toType"]])
    )
    keys = ("from_object_type", "from_id", "to_object_type", "to_id", "association_type_id", "label")
    assert Counter(tuple(each[key] for key in keys) for each in run.records("associations")) == expected
    pairs = Counter((each[0], each[1], each[2], each[3]) for each in expected)
    assert pairs.most_common(1)[0][1] > 1, "the portal has no edge with several labels"
    assert any(each[0] == each[2] for each in expected), "the portal has no edge within a type"


def portal_type_ids(portal) -> dict[str, str]:
    division = next(each for each in portal.get("status")["records"].items() if each[0] == "divisions")[1]["typeId"]
    return {"0-1": "contacts", "0-421": "appointments", "0-3": "deals", division: "divisions"}


def test_reference_streams_describe_the_portal(run):
    assert {each["object_type"] for each in run.records("properties")} == set(TYPES)
    stages = {(each["object_type"], each["pipeline_id"]) for each in run.records("pipeline_stages")}
    assert {(each["object_type"], each["id"]) for each in run.records("pipelines")} == stages
    assert {"deals", "appointments"} <= {object_type for object_type, _ in stages}
    owners = {each["id"] for each in run.records("owners")}
    assert {each["hubspot_owner_id"] for each in run.records("deals")} - {None} <= owners


SCOPES = {
    "associations": ("from_object_type", "to_object_type"),
    **dict.fromkeys(("properties", "pipelines", "pipeline_stages"), ("object_type",)),
}


@pytest.mark.parametrize("stream", [*TYPES, "associations", "owners", "properties", "pipelines", "pipeline_stages"])
def test_the_version_is_activated_after_all_its_records(run, stream):
    assert run.message_types(stream)[:2] == ["SCHEMA", "RECORD"]
    assert run.message_types(stream)[-1] == "ACTIVATE_VERSION"
    messages = [each for each in run.messages if each.get("stream") == stream]
    versioned = [each for each in messages if each["type"] in {"RECORD", "ACTIVATE_VERSION"}]
    assert len({each.get("scope", each)["version"] for each in versioned}) == 1
    activated: set[tuple[str, ...]] = set()
    for each in versioned:
        scope = each.get("scope", {"columns": (), "values": [[]]})
        if each["type"] == "RECORD":
            assert not activated & {(), tuple(each["record"].get(name) for name in SCOPES.get(stream, ()))}
        else:
            assert tuple(scope["columns"]) == SCOPES.get(stream, ())
            activated |= {tuple(values) for values in scope["values"]}
    assert len(activated) == {"associations": 10, "properties": 4, "pipelines": 3, "pipeline_stages": 3}.get(stream, 1)


def test_streams_come_in_an_order_that_lets_associations_know_the_changes(run):
    order = list(dict.fromkeys(each["stream"] for each in run.messages if each["type"] == "SCHEMA"))
    assert order[-2:] == ["associations", "sync_history"]
    assert order[4:8] == ["contacts", "appointments", "divisions", "deals"]


def test_the_state_says_where_the_next_run_starts(run):
    for stream in TYPES:
        saved = run.state["bookmarks"][stream]
        assert saved["replication_key_value"] == saved["full_pass_at"]
        assert "full_pass" not in saved
    assert len(run.state["bookmarks"]["associations"]["pairs"]) == 10


def test_the_history_has_a_record_for_each_stream(run):
    history = {each["stream"]: each for each in run.records("sync_history")}
    assert history.keys() == run.by_stream().keys() - {"sync_history"}
    for stream in TYPES:
        assert history[stream]["mode"] == "full"
        assert history[stream]["records"] == history[stream]["hubspot_total"] == len(run.records(stream))
        assert history[stream]["status"] == "success"
        assert history[stream]["requests"] > 0
    assert history["contacts"]["invalid_values"] == sum(
        len(each["invalid_properties"] or {}) for each in run.records("contacts")
    )


def test_the_log_summarises_the_run_in_a_table_and_never_shows_the_token(run, portal):
    assert "What this run read:" in run.log
    assert portal.token not in run.log


def test_the_catalog_types_every_property(config, portal, tmp_path):
    catalog = discover(tmp_path, config)
    streams = {each["tap_stream_id"]: each for each in catalog["streams"]}
    assert streams.keys() == {
        *TYPES,
        *("associations", "owners", "pipelines", "pipeline_stages", "properties", "sync_history"),
    }
    contacts = streams["contacts"]["schema"]["properties"]
    assert contacts["id"]["type"] == ["string"]
    assert contacts["createdate"]["format"] == "date-time"
    assert contacts["hs_object_id"]["type"] == ["string", "null"]
    assert streams["contacts"]["key_properties"] == ["id"]
    assert streams["contacts"]["replication_key"] == "updated_at"
    kinds = {(tuple(each["type"]), each.get("format")) for each in contacts.values()}
    assert {
        (("string", "null"), None),
        (("number", "null"), None),
        (("boolean", "null"), None),
        (("string", "null"), "date"),
        (("string", "null"), "date-time"),
    } <= kinds


@pytest.mark.parametrize("version", ["2026-03", "v3"])
def test_every_api_version_gives_the_same_records(run, config, tmp_path, version):
    other = run_tap(tmp_path, config | {"api_version": version})
    assert other.returncode == 0, other.log
    for stream in (*TYPES, "associations", "owners", "pipelines", "pipeline_stages", "properties"):
        assert sorted(map(repr, other.records(stream))) == sorted(map(repr, run.records(stream)))


@pytest.fixture(scope="module")
def wide(sandbox_factory):
    """A portal whose contacts have more properties than fit in a URL."""
    return sandbox_factory(contacts=150, deals=1, associations=1, contact_properties=2000, tier="unlimited")


def test_more_properties_than_a_url_holds_are_all_read(wide, tmp_path):
    settings = {"api_url": wide.url, "access_token": wide.token, "objects": ["contacts"]}
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    truth = {each["id"]: each["properties"] for each in wide.truth("0-1")}
    assert len(run.records("contacts")) == len(truth) == 150
    for record in run.records("contacts"):
        text = {name: value for name, value in truth[record["id"]].items() if isinstance(record[name], str)}
        assert len(text) > 200
        assert truth[record["id"]].keys() <= record.keys()
    assert any(endpoint.startswith("batch read") for endpoint in wide.log()["byEndpoint"])


@pytest.mark.parametrize("status", [414, 431])
def test_a_list_whose_url_hubspot_refuses_is_read_by_id_at_once(sandbox_factory, tmp_path, status):
    """At 8,000 characters, as some have seen; shorter lists are not affected. Each worker sends one such request."""
    sandbox = sandbox_factory(contacts=450, deals=130, associations=1, contact_properties=500, tier="unlimited")
    sandbox.settings(quirks={"longest-url": "8000"} if status == 414 else {})
    sandbox.faults([{"match": "list contacts", "nth": 1, "status": 431}] if status == 431 else [])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}
    run = run_tap(tmp_path, settings | {"workers": 2})
    assert run.returncode == 0, run.log
    for stream, type_id in (("contacts", "0-1"), ("deals", "0-3")):
        assert {each["id"] for each in run.records(stream)} == {each["id"] for each in sandbox.truth(type_id)}
    assert all(len(record) > 480 for record in run.records("contacts"))
    log = sandbox.log()
    assert {"batch read contacts"} == {name for name in log["byEndpoint"] if name.startswith("batch read")}
    assert 1 <= log["byStatus"][str(status)] <= 2
    assert "HubSpot refuses URLs of" in run.log
    sandbox.faults([{"match": "list contacts", "status": 414}])
    assert run_tap(tmp_path, settings).returncode == 1, "not even ids"
    sandbox.stop()


def test_a_deselected_property_is_neither_emitted_nor_requested(wide, tmp_path):
    wide.reset()
    settings = {"api_url": wide.url, "access_token": wide.token, "objects": ["contacts"]}
    catalog = discover(tmp_path, settings)
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            is_wanted = stream["tap_stream_id"] == "contacts" and each["breadcrumb"][-1:] in ([], ["id"], ["email"])
            each["metadata"] |= {"selected": is_wanted, "inclusion": "available"}
    run = run_tap(tmp_path, settings, catalog=catalog)
    assert run.returncode == 0, run.log
    assert run.by_stream() == {"contacts": 150}
    assert all(record.keys() == {"id", "email", "_sdc_deleted_at"} for record in run.records("contacts"))
    # All 2,000 names would not fit in the URL, and the tap would have to use batch read.
    assert not any(endpoint.startswith("batch read") for endpoint in wide.log()["byEndpoint"])


def test_stream_maps_apply(config, tmp_path):
    maps = {"contacts": {"id": "id", "shout": "email and email.upper()", "__else__": None}, "deals": None}
    run = run_tap(tmp_path, config | {"stream_maps": maps, "objects": ["contacts", "deals"]})
    assert run.returncode == 0, run.log
    assert "deals" not in run.by_stream()
    assert all(record.keys() == {"id", "shout"} for record in run.records("contacts"))
    assert any(record["shout"] and record["shout"].isupper() for record in run.records("contacts"))


def test_a_test_run_reads_a_record_of_each_stream(config, tmp_path):
    run = run_tap(tmp_path, config, "--test")
    assert run.returncode == 0, run.log
    assert run.by_stream().keys() >= {*TYPES, "associations", "owners"}
    assert all(count <= 2 for count in run.by_stream().values())


def test_each_property_with_values_that_do_not_fit_is_counted_in_the_log_and_in_the_history(run):
    counts = Counter(name for each in run.records("contacts") for name in each["invalid_properties"] or ())
    assert counts
    (line,) = (text for text in run.log.splitlines() if "contacts: values that do not fit" in text)
    assert all(f"{name} ({count:,})" in line for name, count in counts.items())
    (history,) = (each for each in run.records("sync_history") if each["stream"] == "contacts")
    assert history["invalid_properties"] == counts


@pytest.mark.parametrize("count", [1_200, 3_000])
def test_no_property_of_a_wide_portal_is_lost(sandbox_factory, tmp_path, count):
    sandbox = sandbox_factory(contacts=12, deals=1, associations=1, contact_properties=count, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    first = run_tap(tmp_path, settings)
    sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 12}])
    second = run_tap(tmp_path, settings, state=first.state)
    for run in (first, second):
        assert run.returncode == 0, run.log
        records = {each["id"]: each for each in run.records("contacts")}
        for each in sandbox.truth("0-1"):
            given = {name for name, text in each["properties"].items() if text}
            record = records[each["id"]]
            assert {name for name in given if record[name] is None} == (record["invalid_properties"] or {}).keys()
    assert "414" not in sandbox.log()["byStatus"]
    sandbox.stop()


def test_descriptions_of_the_portal_are_requested_once(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=20, deals=20, appointments=5, contact_properties=20, tier="unlimited")
    run = run_tap(tmp_path, {"api_url": sandbox.url, "access_token": sandbox.token})
    assert run.returncode == 0, run.log
    asked = {name: sum(counts.values()) for name, counts in sandbox.log()["byEndpoint"].items()}
    described = {
        name: count for name, count in asked.items() if name.split()[0] in {"properties", "schemas", "pipelines"}
    }
    assert described.pop("pipelines divisions") == 3, "for two streams, and once more by each of them, as it is empty"
    assert len(described) >= 7
    assert set(described.values()) == {1}
    sandbox.stop()


def test_batch_files_hold_the_same_records(run, config, tmp_path):
    encoding = {"format": "jsonl", "compression": "gzip"}
    batches = run_tap(
        tmp_path, config | {"batch_config": {"encoding": encoding, "storage": {"root": f"file://{tmp_path}"}}}
    )
    assert batches.returncode == 0, batches.log
    assert "RECORD" not in {each["type"] for each in batches.messages}
    for stream in (*TYPES, "associations", "owners", "properties"):
        files = [
            Path(url.removeprefix("file://"))
            for each in batches.messages
            if each["type"] == "BATCH" and each["stream"] == stream
            for url in each["manifest"]
        ]
        records = [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
        assert sorted(map(repr, records)) == sorted(map(repr, run.records(stream)))
    assert "ACTIVATE_VERSION" not in {each["type"] for each in batches.messages}
    assert batches.state["bookmarks"]["contacts"]["replication_key_value"]
