"""`warehouse verify`: a true copy is true, every kind of drift is told, and what cannot be told is a sentence."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from click.testing import CliRunner

from target_warehouse.cli import main
from target_warehouse.target import TargetWarehouse
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
    """What a first run of the tap writes."""
    folder = tmp_path_factory.mktemp("tap")
    run = run_tap(folder, {"api_url": portal.url, "access_token": portal.token})
    assert run.returncode == 0, run.log
    return "".join(json.dumps(each) + "\n" for each in run.messages)


@pytest.fixture
def loaded(portal, messages, warehouse) -> Warehouse:
    """A true copy of the portal as it was at the beginning."""
    portal.reset()
    load(warehouse, messages)
    return warehouse


def load(warehouse: Warehouse, messages: str, **config: Any) -> None:
    settings = {"warehouse": warehouse.url, "default_target_schema": "hubspot", **config}
    TargetWarehouse(config=settings).run(io.StringIO(messages))


def change(warehouse: Warehouse, *statements: str) -> None:
    """Spoil the copy."""
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
    """The sentences of what differs."""
    found = json.loads(text[text.index("{") :])
    return [
        f"{each['stream']}: {each['text']} {' '.join(each['keys'])}" for each in found["findings"] if each["is_drift"]
    ]


def ids_of(portal: Any, object_type: str, count: int) -> list[str]:
    return [each["id"] for each in portal.truth(object_type)][:count]


def test_a_true_copy_is_true_also_while_the_portal_changes(portal, loaded):
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
    found = {each["stream"]: each for each in json.loads(text)["streams"]}
    assert {stream: found[stream]["live_rows"] for stream in SIZES} == SIZES
    assert {stream: found[stream]["sampled"] for stream in SIZES} == SIZES
    assert found["contacts"]["changed_since"] == 2
    assert (found["contacts"]["hubspot_total"], found["deals"]["hubspot_total"]) == (59, 21)


def test_the_json_null_of_target_postgres_is_no_value(portal, loaded):
    """Its tables have it where ours have SQL's, and are carried on."""
    before = verified(loaded, portal)
    assert "live rows have values that do not fit their type" in before[1]
    change(loaded, "UPDATE hubspot.contacts SET invalid_properties = 'null' WHERE invalid_properties IS NULL")
    code, text = verified(loaded, portal)
    assert (code, text.partition("Worth knowing:")[2]) == (0, before[1].partition("Worth knowing:")[2])


def test_every_kind_of_drift_is_told_by_keys_and_fields(portal, loaded):
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
    assert f"associations: associations name 1 deals that are not in the table. {deal}" in found
    assert any(line.startswith("appointments: 1 of 12 records read again are gone from HubSpot") for line in found)
    missed = "changed in HubSpot before the last load, and their rows do not show it."
    assert f"divisions: 1 of 5 records read again {missed} {division}" in found
    assert any(
        line.startswith("owners: it shows HubSpot as of") and "1 day, 0:00:00 are allowed" in line for line in found
    )
    assert any(line.startswith("pipelines: its last run rejected 1 records") for line in found)
    kinds = {each["check"] for each in json.loads(text)["findings"] if each["is_drift"]}
    assert kinds == {"total", "freshness", "sample", "orphans", "rejected records"}

    code, text = verified(loaded, portal, "--show-values", "--ignore", column, "--max-age=90d", "--max-age=deals=1s")
    assert code == 1
    assert f"id={contact}: Spoilt-Secret in the warehouse, " in text
    assert f"the field {column}" not in text
    assert "owners: it shows" not in text
    assert "deals: it shows HubSpot as of" in text


def test_what_a_load_has_missed_is_no_later_change(portal, loaded):
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
    assert any("are gone from HubSpot for good" in line and line.endswith(gone) for line in found)
    assert any("HubSpot counted 58 at " in line and "2 too many" in line for line in found)


@pytest.mark.parametrize(
    ("schema", "words", "env", "sentence"),
    [
        ("nothing", [], {}, "There is no table _load_history in the schema nothing"),
        ("hubspot", ["--max-age=tickets=2h"], {}, "There is no stream tickets to have an age; there are appointments,"),
        ("hubspot", ["--max-age=soon"], {}, "'soon' is no age"),
        ("hubspot", ["--tap=no-such-tap"], {}, "The tap cannot be started by the command 'no-such-tap'"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_ACCESS_TOKEN": "wrong"}, "exit code 1: HubSpot does not accept the token"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_API_URL": "http://127.0.0.1:9"}, "No answer to GET http://127.0.0.1:9/"),
        ("hubspot", [], {"TAP_HUBSPOT_DW_OBJECTS": '["deals"]'}, "which is not one of the setting objects"),
    ],
)
def test_what_cannot_be_told_is_a_sentence_and_exit_code_2(
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


def test_a_stream_that_may_not_be_read_is_named_with_its_reason(portal, messages, tmp_path):
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
    load(warehouse, "".join(json.dumps(each) + "\n" for each in run.messages), max_rejected=12)
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
