"""`warehouse verify`: an exact copy matches, every difference is reported, and a failed check is one sentence."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import DuckDBWarehouse, PostgresWarehouse, Warehouse
from tests.tap.running import run_tap

pytestmark = pytest.mark.slow

SIZES = {"contacts": 60, "appointments": 12, "divisions": 5, "deals": 20}
TAP = f"{Path(sys.executable).with_name('tap-hubspot-dw')} --config=ENV"
DAY = "interval '1 day'"


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    """A small portal; `env` has the tap's settings for it."""
    sandbox = sandbox_factory(**SIZES, associations=80, contact_properties=20, tier="unlimited")
    sandbox.env = {"TAP_HUBSPOT_DW_API_URL": sandbox.url, "TAP_HUBSPOT_DW_ACCESS_TOKEN": sandbox.token}
    return sandbox


@pytest.fixture(scope="module")
def messages(portal, tmp_path_factory) -> str:
    """The messages of a first run of the tap."""
    folder = tmp_path_factory.mktemp("tap")
    run = run_tap(folder, {"api_url": portal.url, "access_token": portal.token})
    assert run.returncode == 0, run.log
    return "".join(json.dumps(message) + "\n" for message in run.messages)


@pytest.fixture
def loaded(portal, messages, warehouse) -> Warehouse:
    """An exact copy of the portal as it was at the start."""
    portal.reset()
    load(warehouse, messages)
    return warehouse


def load(warehouse: Warehouse, messages: str, **config: Any) -> None:
    settings = {"warehouse": warehouse.url, "default_target_schema": "hubspot", **config}
    TargetWarehouse(config=settings).run(io.StringIO(messages))


def change(warehouse: Warehouse, *statements: str) -> None:
    """Change the copy, so that it no longer matches."""
    if isinstance(warehouse, DuckDBWarehouse):
        with duckdb.connect(str(warehouse.path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    with psycopg.connect(warehouse.url) as connection:
        for statement in statements:
            connection.execute(statement)


def verified(warehouse: Warehouse, portal: Any, *words: str, tap: str = TAP, **env: str) -> tuple[int, str]:
    command = ["--warehouse", warehouse.url, "--schema", "hubspot", "verify", "--sample=1000", f"--tap={tap}", *words]
    answer = CliRunner().invoke(main, command, env=portal.env | env)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer.exit_code, answer.output


def drift(text: str) -> list[str]:
    """The sentences of the differences."""
    findings = json.loads(text[text.index("{") :])["findings"]
    return [
        f"{finding['stream']}: {finding['text']} {' '.join(finding['keys'])}"
        for finding in findings
        if finding["is_drift"]
    ]


def ids_of(portal: Any, object_type: str, count: int) -> list[str]:
    return [record["id"] for record in portal.truth(object_type)][:count]


def test_an_exact_copy_matches_also_while_the_portal_changes(portal, loaded):
    edited, archived = ids_of(portal, "contacts", 2)
    portal.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": edited, "properties": {"lastname": "Later"}},
            {"kind": "archive", "type": "contacts", "id": archived},
            {"kind": "create", "type": "deals", "properties": {"dealname": "Later"}},
        ]
    )
    code, text = verified(loaded, portal, "--json")
    assert (code, drift(text)) == (0, [])
    streams = {stream["stream"]: stream for stream in json.loads(text)["streams"]}
    assert {stream: streams[stream]["live_rows"] for stream in SIZES} == SIZES
    assert {stream: streams[stream]["sampled"] for stream in SIZES} == SIZES
    assert streams["contacts"]["changed_since"] == 2
    assert (streams["contacts"]["hubspot_total"], streams["deals"]["hubspot_total"]) == (59, 21)


def test_a_json_null_of_target_postgres_is_not_an_invalid_value(portal, loaded):
    """Its tables, which the target continues to load, have a JSON null where ours have SQL's."""
    before = verified(loaded, portal)
    assert "live rows have values that do not fit their type" in before[1]
    change(loaded, "UPDATE hubspot.contacts SET invalid_properties = 'null' WHERE invalid_properties IS NULL")
    code, text = verified(loaded, portal)
    assert (code, text.partition("Notes:")[2]) == (0, before[1].partition("Notes:")[2])


def test_every_difference_is_reported_with_keys_and_fields(portal, loaded):
    (contact,) = ids_of(portal, "contacts", 1)
    (appointment,) = ids_of(portal, "appointments", 1)
    (division,) = ids_of(portal, "divisions", 1)
    ((deal,),) = (
        tuple(row.values())
        for row in loaded.query(
            "SELECT from_id FROM hubspot.associations WHERE from_object_type = 'deals' ORDER BY 1 LIMIT 1"
        )
    )
    column = next(
        name
        for name in loaded.query("SELECT * FROM hubspot.contacts LIMIT 1")[0]
        if name.startswith(("consent", "billing", "shipping")) or name == "address"
    )
    change(
        loaded,
        f"UPDATE hubspot.contacts SET lastname = 'Spoilt-Secret' WHERE id = '{contact}'",
        f"ALTER TABLE hubspot.contacts DROP COLUMN {column}",
        f"DELETE FROM hubspot.deals WHERE id = '{deal}'",
        f"UPDATE hubspot.appointments SET id = '99999999' WHERE id = '{appointment}'",
        f"UPDATE hubspot.divisions SET updated_at = updated_at - {DAY}, city = NULL WHERE id = '{division}'",
        "UPDATE hubspot.sync_history SET window_until = NULL WHERE stream = 'owners'",
        f"UPDATE hubspot.sync_history SET started_at = started_at - 2 * {DAY} WHERE stream = 'owners'",
    )
    bad = {"type": "RECORD", "stream": "pipelines", "record": {"object_type": None, "id": "1"}}
    schema = {"object_type": {"type": "string"}, "id": {"type": "string"}}
    head = {
        "type": "SCHEMA",
        "stream": "pipelines",
        "key_properties": ["object_type", "id"],
        "schema": {"properties": schema},
    }
    load(loaded, f"{json.dumps(head)}\n{json.dumps(bad)}\n", max_rejected=1)

    code, text = verified(loaded, portal, "--json")
    assert code == 1
    found = drift(text)
    assert "Spoilt" not in text
    assert f"contacts: the field lastname differs in 1 of 60 records read again. {contact}" in found
    assert any(line.startswith(f"contacts: the field {column} differs in ") for line in found)
    assert any("deals: HubSpot counted 20 at " in line and "has 19 live rows: 1 missing." in line for line in found)
    assert f"associations: associations name 1 deals that are not in their table. {deal}" in found
    deleted = "appointments: 1 of 12 records read again were permanently deleted in HubSpot"
    assert any(line.startswith(deleted) for line in found)
    missed = "changed in HubSpot before the last load, but their rows do not show it."
    assert f"divisions: 1 of 5 records read again {missed} {division}" in found
    assert any(
        line.startswith("owners: it shows HubSpot as of") and "the limit is 1 day, 0:00:00." in line for line in found
    )
    assert any(line.startswith("pipelines: its last run rejected 1 records") for line in found)
    checks = {finding["check"] for finding in json.loads(text)["findings"] if finding["is_drift"]}
    assert checks == {"total", "records", "freshness", "sample", "orphans", "rejected records"}
    assert f"deals: 1 records that HubSpot has are missing in the table. {deal}" in found

    code, text = verified(loaded, portal, "--show-values", "--ignore", column, "--max-age=90d", "--max-age=deals=1s")
    assert code == 1
    assert f"id={contact}: Spoilt-Secret in the warehouse, " in text
    assert f"the field {column}" not in text
    assert "owners: it shows" not in text
    assert "deals: it shows HubSpot as of" in text


def test_a_change_that_a_load_missed_is_a_difference(portal, loaded):
    edited, archived, gone = ids_of(portal, "contacts", 3)
    portal.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": edited, "properties": {"lastname": "Missed"}},
            {"kind": "archive", "type": "contacts", "id": archived},
            {"kind": "gdpr-delete", "type": "contacts", "id": gone},
        ]
    )
    change(loaded, f"UPDATE hubspot.sync_history SET window_until = window_until + {DAY} WHERE stream = 'contacts'")
    code, text = verified(loaded, portal, "--json")
    assert code == 1
    found = drift(text)
    assert any("changed in HubSpot before the last load" in line and line.endswith(edited) for line in found)
    assert any("were archived or merged in HubSpot before" in line and line.endswith(archived) for line in found)
    assert any("were permanently deleted in HubSpot" in line and line.endswith(gone) for line in found)
    assert any("HubSpot counted 58 at " in line and "2 too many" in line for line in found)


def test_rows_that_only_one_side_has_are_named_without_a_sample(portal, loaded):
    """The tap bisects totals that differ; records created or deleted since the last load are not differences."""
    lacking, gone, archived, new = ids_of(portal, "contacts", 4)
    portal.mutate(
        [
            {"kind": "gdpr-delete", "type": "contacts", "id": gone},
            {"kind": "archive", "type": "contacts", "id": archived},
            {"kind": "create", "type": "contacts", "properties": {"lastname": "Later"}},
        ]
    )
    change(
        loaded,
        f"DELETE FROM hubspot.contacts WHERE id = '{lacking}'",
        f"UPDATE hubspot.contacts SET _sdc_deleted_at = updated_at WHERE id = '{new}'",
        f"UPDATE hubspot.contacts SET created_at = created_at - 90 * {DAY}",
    )
    code, text = verified(loaded, portal, "--json", "--sample=0")
    assert code == 1
    permanently = "that were permanently deleted in HubSpot; the next full pass marks them."
    found = [line for line in drift(text) if "records" in line or "rows belong to" in line]
    assert found == [
        f"contacts: 1 records that HubSpot has are missing in the table. {lacking}",
        f"contacts: 1 records that HubSpot has are marked as deleted in the table. {new}",
        f"contacts: 1 live rows belong to records {permanently} {gone}",
    ]


def test_rows_marked_as_deleted_are_also_read_again(portal, loaded):
    (contact,) = ids_of(portal, "contacts", 1)
    ids = ids_of(portal, "divisions", 2)
    portal.mutate([{"kind": "archive", "type": "divisions", "id": ids[1]}])
    change(
        loaded,
        f"UPDATE hubspot.contacts SET _sdc_deleted_at = updated_at WHERE id = '{contact}'",
        f"UPDATE hubspot.divisions SET _sdc_deleted_at = updated_at WHERE id = '{ids[1]}'",
    )
    code, text = verified(loaded, portal, "--json")
    assert code == 1
    of_samples = [line for line in drift(text) if "rows marked as deleted" in line]
    assert of_samples == [f"contacts: 1 of 1 rows marked as deleted belong to records that HubSpot has. {contact}"]


def test_associations_are_read_again_and_each_kind_of_difference_is_named(portal, loaded):
    """Most are marked as deleted, as a narrowed full refresh once left them. Those of changed records are left out."""
    rows = loaded.query(
        "SELECT from_object_type AS a, from_id AS b, to_object_type AS c, to_id AS d, association_category AS e, "
        "association_type_id AS f FROM hubspot.associations ORDER BY 1, 2, 3, 4, 5, 6"
    )
    edited = next(row for row in rows if row["c"] == "contacts")
    others = [row for row in rows if (edited["c"], edited["d"]) not in {(row["a"], row["b"]), (row["c"], row["d"])}]
    first = (others[0]["a"], others[0]["c"])
    odd, lost = others[0], next(row for row in others if (row["a"], row["c"]) != first)
    where = "from_object_type = '{a}' AND from_id = '{b}' AND to_object_type = '{c}' AND to_id = '{d}'"
    portal.mutate([{"kind": "edit", "type": "contacts", "id": edited["d"], "properties": {"lastname": "Later"}}])
    change(
        loaded,
        "UPDATE hubspot.associations SET _sdc_deleted_at = _sdc_extracted_at "
        f"WHERE from_object_type = '{first[0]}' AND to_object_type = '{first[1]}' AND from_id <> '{odd['b']}'",
        f"UPDATE hubspot.associations SET label = 'Odd' WHERE {where.format(**odd)}",
        f"DELETE FROM hubspot.associations WHERE {where.format(**lost)}",
        f"INSERT INTO hubspot.associations (from_object_type, from_id, to_object_type, to_id, association_category, "
        f"association_type_id) SELECT '{first[0]}', '{odd['b']}', '{first[1]}', '{odd['d']}', 'HUBSPOT_DEFINED', 99999",
        f"DELETE FROM hubspot.associations WHERE {where.format(**edited)}",
    )
    code, text = verified(loaded, portal, "--json")
    assert code == 1
    found = {line.partition("again ")[2].partition(".")[0]: line for line in drift(text) if "associations read" in line}
    assert found.keys() == {
        "are marked as deleted, but HubSpot has them",
        "are missing in the table, but HubSpot has them",
        "are live in the table, but HubSpot does not have them",
        "have another label in HubSpot",
    }
    assert "{a} {b} to {c} {d} as {e} {f}".format(**lost) in found["are missing in the table, but HubSpot has them"]
    assert "{a} {b} to {c} {d} as {e} {f}".format(**edited) not in text
    counts = {pair["pair"]: pair for pair in json.loads(text)["pairs"]}
    marked = counts[f"{first[0]}:{first[1]}"]
    assert marked["deleted_rows"] == sum((row["a"], row["c"]) == first and row["b"] != odd["b"] for row in rows)
    assert marked["last_read"]
    assert marked["last_full_pass"]
    assert "The copy does not match HubSpot: " in verified(loaded, portal)[1]


def test_a_narrowed_or_unfinished_pass_is_reported(portal, loaded, tmp_path):
    """A pair that the last run did not read is a difference once it is older than the limit."""
    narrow = {"association_pairs": ["contacts:deals"], "only_ids": {}}
    run = run_tap(tmp_path, {"api_url": portal.url, "access_token": portal.token} | narrow)
    assert run.returncode == 0, run.log
    history = [message for message in run.messages if message.get("stream") == "sync_history"]
    for message in history:
        if record := message.get("record"):
            record["mode"] = "full" if record["stream"] != "contacts" else record["mode"]
            record["status"] = "failed" if record["stream"] == "deals" else record["status"]
    load(loaded, "".join(json.dumps(message) + "\n" for message in history))
    before = json.loads(verified(loaded, portal, "--json")[1])
    passes = [finding for finding in before["findings"] if finding["check"] == "passes"]
    assert not any(finding["is_drift"] for finding in passes)
    assert any("its last full pass, begun at" in line["text"] and line["stream"] == "deals" for line in passes)
    unread = {finding["text"].partition(" ")[0] for finding in passes if finding["stream"] == "associations"}
    assert unread == {pair["pair"] for pair in before["pairs"]} - {"deals:contacts"}
    code, text = verified(loaded, portal, "--json", "--max-age=associations=1s")
    assert code == 1
    assert any("was not read since" in line for line in drift(text))


@pytest.mark.parametrize(
    ("schema", "words", "env", "sentence"),
    [
        ("nothing", [], {}, "There is no table _load_history in the schema nothing"),
        ("hubspot", ["--max-age=tickets=2h"], {}, "no stream of the warehouse: tickets; use appointments,"),
        ("hubspot", ["--max-age=soon"], {}, "'soon' is not an age"),
        ("hubspot", ["--tap=no-such-tap"], {}, "The tap cannot be started by the command 'no-such-tap'"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_ACCESS_TOKEN": "wrong"}, "exit code 1: HubSpot does not accept the token"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_API_URL": "http://127.0.0.1:9"}, "No answer to GET http://127.0.0.1:9/"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_OBJECTS": '["deals"]'}, "which is not one of the setting objects"),
    ],
)
def test_a_check_that_is_not_possible_is_a_sentence_and_exit_code_2(
    portal, messages, tmp_path_factory, tmp_path, schema, words, env, sentence
):
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    kept = tmp_path_factory.getbasetemp() / "verify-loaded.duckdb"
    if not kept.exists():
        load(DuckDBWarehouse(kept), messages)
    shutil.copy(kept, warehouse.path)
    command = ["--warehouse", warehouse.url, "--schema", schema, "verify", f"--tap={TAP}", *words]
    answer = CliRunner().invoke(main, command, env=portal.env | env)
    assert (answer.exit_code, answer.output.count("\n")) == (2, 1), answer.output
    assert sentence in answer.output


def test_a_second_interrupt_ends_a_verification_at_once(portal, messages, tmp_path):
    """The first waits some seconds for the tap to end; this tap ignores it."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(warehouse, messages)
    deaf = f"import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; open('{tmp_path}/there', 'w')"
    tap = f'{sys.executable} -c "{deaf}; time.sleep(60)"'
    command = [str(Path(sys.executable).with_name("warehouse")), "--warehouse", warehouse.url, "--schema", "hubspot"]
    process = subprocess.Popen([*command, "verify", f"--tap={tap}"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not (tmp_path / "there").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "Stopped by signal 2.\n")
    assert time.monotonic() - began < 3


def test_a_stream_without_permission_is_named_with_the_reason(portal, messages, tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(warehouse, messages)
    portal.settings(withoutScopes=["crm.objects.deals.read", "crm.schemas.deals.read"])
    code, text = verified(warehouse, portal)
    portal.reset()
    assert code == 2
    assert "exit code 1: deals: " in text
    assert "crm.schemas.deals.read" in text


def test_properties_beyond_postgresqls_columns_are_verified_too(sandbox_factory, postgres_url, tmp_path):
    wide = sandbox_factory(contacts=12, deals=1, associations=1, contact_properties=1_700, tier="unlimited")
    wide.env = {
        "TAP_HUBSPOT_DW_API_URL": wide.url,
        "TAP_HUBSPOT_DW_ACCESS_TOKEN": wide.token,
        "TAP_HUBSPOT_DW_OBJECTS": '["contacts"]',
        "TAP_HUBSPOT_DW_ASSOCIATIONS": "false",
    }
    settings = {"api_url": wide.url, "access_token": wide.token, "objects": ["contacts"], "associations": False}
    run = run_tap(tmp_path, settings)
    warehouse = PostgresWarehouse(postgres_url)
    load(warehouse, "".join(json.dumps(message) + "\n" for message in run.messages), max_rejected=12)
    ((id_, name),) = (
        tuple(row.values())
        for row in warehouse.query(
            "SELECT id, (SELECT min(k) FROM jsonb_object_keys(_sdc_overflow) AS k) FROM hubspot.contacts "
            "WHERE _sdc_overflow IS NOT NULL ORDER BY id LIMIT 1"
        )
    )
    change(warehouse, f"UPDATE hubspot.contacts SET _sdc_overflow = _sdc_overflow - '{name}' WHERE id = '{id_}'")
    code, text = verified(warehouse, wide, "--json")
    assert (code, drift(text)) == (1, [f"contacts: the field {name} differs in 1 of 12 records read again. {id_}"])
