"""`warehouse verify` finds every damage to a table of which it says that it was compared.

HubSpot is read again once: the command of the tap here prints what the tap wrote then.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from tests.conftest import DuckDBWarehouse
from tests.pipeline.test_verify import SIZES, change, drift, load, loaded, messages, portal, verified
from tests.tap.running import run_tap

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["loaded", "messages", "portal"]  # fixtures

pytestmark = pytest.mark.slow

FIRST = "id = (SELECT min(id) FROM hubspot.{0})"
#: Damages by copy: what is wrong, the statement, and the beginning of the sentence that says so.
DAMAGES = {
    "rows": [
        ("an owner is missing", f"DELETE FROM hubspot.owners WHERE {FIRST.format('owners')}", "owners: 1 of the "),
        ("labels differ", "UPDATE hubspot.pipeline_stages SET label = 'x'", "pipeline_stages: the field label differs"),
        ("labels differ", "UPDATE hubspot.properties SET label = 'x'", "properties: the field label differs in "),
        (
            "a table is missing",
            "DROP TABLE hubspot.divisions",
            "divisions: there is no table hubspot.div",
        ),
        (
            "all rows are doubled",
            "INSERT INTO hubspot.associations FROM hubspot.associations",
            "associations: 196 rows of the table hubspot.associations share 98 keys: a key must have one row.",
        ),
        (
            "a row is doubled",
            f"INSERT INTO hubspot.contacts FROM hubspot.contacts WHERE {FIRST.format('contacts')}",
            "contacts: 2 rows of the table hubspot.contacts share 1 keys: a key must have one row.",
        ),
    ],
    "empty tables": [
        ("no owner is left", "DELETE FROM hubspot.owners", "owners: 24 of the 24 that HubSpot has are missing"),
        ("no pipeline is left", "DELETE FROM hubspot.pipelines", "pipelines: 3 of the 3 that HubSpot has are missing"),
        (
            "no stage is left",
            "DELETE FROM hubspot.pipeline_stages",
            "pipeline_stages: 12 of the 12 that HubSpot",
        ),
        ("a table is missing", "DROP TABLE hubspot.associations", "associations: there is no table "),
        (
            "the key's column is missing",
            "ALTER TABLE hubspot.properties RENAME COLUMN name TO name2",
            "properties: the table hubspot.properties has no column name as the target makes it",
        ),
        (
            "a column is missing",
            "ALTER TABLE hubspot.contacts DROP COLUMN merged_into_id",
            "contacts: the table hubspot.contacts has no column merged_into_id as the target",
        ),
        (
            "all rows are doubled",
            "INSERT INTO hubspot.sync_history FROM hubspot.sync_history",
            "sync_history: 18 rows of the table hubspot.sync_history share 9 keys",
        ),
    ],
    "marks and views": [
        (
            "all rows are marked",
            "UPDATE hubspot.owners SET _sdc_deleted_at = _sdc_received_at",
            "owners: 24 of the 24 that HubSpot has are marked as deleted in the table.",
        ),
        ("JSON differs", "UPDATE hubspot.pipeline_stages SET metadata = '{}'", "pipeline_stages: the field metadata"),
        ("no property is left", "DELETE FROM hubspot.properties", "properties: "),
        (
            "a view is in the place of a table",
            "ALTER TABLE hubspot.divisions RENAME TO other; CREATE VIEW hubspot.divisions AS FROM hubspot.other",
            "divisions: there is no table ",
        ),
        (
            "a row has the id of another",
            f"UPDATE hubspot.contacts SET id = (SELECT max(id) FROM hubspot.contacts) WHERE {FIRST.format('contacts')}",
            "contacts: 2 rows of the table hubspot.contacts share 1 keys: a key must have one row.",
        ),
    ],
    "keys": [
        (
            "a row is too many",
            "INSERT INTO hubspot.owners BY NAME (SELECT * REPLACE ('99999999' AS id) FROM hubspot.owners LIMIT 1)",
            "owners: 1 live rows are not in HubSpot. 99999999",
        ),
        (
            "a value differs",
            f"UPDATE hubspot.owners SET email = 'x' WHERE {FIRST.format('owners')}",
            "owners: the field email differs in 1 of the 24 that HubSpot has.",
        ),
        (
            "a row has no key",
            "ALTER TABLE hubspot.pipelines ALTER id DROP NOT NULL; UPDATE hubspot.pipelines SET id = NULL",
            "pipelines: 3 rows of the table hubspot.pipelines have no value in object_type or id.",
        ),
        (
            "a column is missing",
            "ALTER TABLE hubspot.properties RENAME COLUMN label TO label2",
            "properties: the field label differs",
        ),
        (
            "a row is doubled",
            "INSERT INTO hubspot.properties FROM hubspot.properties LIMIT 1",
            "properties: 2 rows of the table hubspot.properties share 1 keys: a key must have one row.",
        ),
        (
            "an id is not a number",
            f"UPDATE hubspot.divisions SET id = id || ' ' WHERE {FIRST.format('divisions')}",
            "divisions: 1 rows of the table hubspot.divisions have an id that is not a number, as HubSpot's ids are.",
        ),
        (
            "a column is no time",
            "ALTER TABLE hubspot.deals ALTER updated_at TYPE VARCHAR",
            "deals: the table hubspot.deals has no column updated_at as the target makes it, so it was not compared.",
        ),
        (
            "the mark is no time",
            "ALTER TABLE hubspot.associations ALTER _sdc_deleted_at TYPE BOOLEAN USING false",
            "associations: the table hubspot.associations has no column _sdc_deleted_at as the target makes it, so ",
        ),
        ("a table is missing", "DROP TABLE hubspot.appointments", "appointments: there is no table "),
    ],
}


@pytest.fixture(scope="module")
def again(portal, messages, tmp_path_factory) -> Path:
    """What the tap writes when it reads everything that a verification reads."""
    folder = tmp_path_factory.mktemp("again")
    ids = {stream: [record["id"] for record in portal.truth(stream)] for stream in SIZES}
    whole = {stream: ["*"] for stream in ("owners", "pipelines", "pipeline_stages", "properties")}
    run = run_tap(folder, {"api_url": portal.url, "access_token": portal.token, "only_ids": ids | whole})
    assert run.returncode == 0, run.log
    file = folder / "messages.singer"
    file.write_text("".join(json.dumps(message) + "\n" for message in run.messages), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def exact(messages, tmp_path_factory) -> Path:
    """A DuckDB file with an exact copy of the portal."""
    file = tmp_path_factory.mktemp("copy") / "w.duckdb"
    load(DuckDBWarehouse(file), messages)
    return file


def answer(file: Path, again: Path, *words: str) -> tuple[int, str]:
    command = ["--warehouse", f"duckdb:///{file}", "--schema", "hubspot", "verify", "--sample=1000", *words]
    result = CliRunner().invoke(main, [*command, f"--tap=cat {again}"])
    return result.exit_code, result.output


def test_an_exact_copy_matches_and_the_answer_says_what_was_compared(exact, again):
    code, text = answer(exact, again)
    assert code == 0, text
    *_, compared, not_compared, verdict = text.splitlines()
    assert "all fields of 97 of their 97 live rows" in compared
    assert compared.endswith("all rows of owners, pipeline_stages, pipelines and properties.")
    assert not_compared == "Not compared: whether deleted rows are missing, and their values."
    assert verdict == "The copy matches HubSpot in everything that was compared."


def test_what_the_history_or_the_tap_does_not_have_is_named_as_not_compared(exact, again, tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    shutil.copy(exact, warehouse.path)
    change(
        warehouse,
        "DELETE FROM hubspot.sync_history WHERE stream IN ('owners', 'contacts')",
        "INSERT INTO hubspot.pipeline_stages BY NAME "
        "(SELECT * REPLACE ('tickets' AS object_type) FROM hubspot.pipeline_stages)",
    )
    code, text = answer(warehouse.path, again)
    assert code == 0, text
    (line,) = (line for line in text.splitlines() if line.startswith("Not compared: "))
    assert "the streams contacts and owners; 12 rows that describe objects which the tap does not read; " in line


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_a_difference_of_its_own(exact, again, tmp_path, name):
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    shutil.copy(exact, warehouse.path)
    change(warehouse, *(statement for _, statement, _ in DAMAGES[name]))
    code, text = answer(warehouse.path, again, "--json")
    assert code == 1, text
    found = drift(text)
    missed = [what for what, _, said in DAMAGES[name] if not any(line.startswith(said) for line in found)]
    assert not missed, (missed, found)


def test_the_small_tables_are_compared_completely_on_each_engine(portal, loaded):
    """PostgreSQL's types are compared by meaning with those of the copy."""
    before: Any = json.loads(verified(loaded, portal, "--json")[1])
    assert before["is_true"]
    change(
        loaded,
        "DELETE FROM hubspot.owners WHERE id = (SELECT max(id) FROM hubspot.owners)",
        'UPDATE hubspot.pipeline_stages SET metadata = \'{"isClosed": "odd"}\'',
        "UPDATE hubspot.properties SET hidden = NOT hidden, created_at = NULL WHERE object_type = 'deals'",
        "DROP TABLE hubspot.divisions",
    )
    code, text = verified(loaded, portal, "--json")
    assert code == 1
    found = drift(text)
    count = {stream["stream"]: stream["hubspot_total"] for stream in before["streams"]}
    assert any(f"owners: 1 of the {count['owners']} that HubSpot has are missing" in line for line in found)
    assert any("stages: the field metadata differs in " in line for line in found)
    for field in ("hidden", "created_at"):
        assert any(f"properties: the field {field} differs in " in line for line in found)
    assert any("divisions: there is no table hubspot.divisions, although the run of " in line for line in found)
