"""A run that could not start leaves a note in the Meltano project, which the next run writes into its history."""

from __future__ import annotations

import json

import pytest

from tap_hubspot_dw.run.failed_starts import MOST_NOTES
from tests.tap.running import discover, run_tap

TOKEN = "pat-that-nobody-knows"


@pytest.fixture
def meltano(tmp_path):
    """The environment that Meltano gives an extractor."""
    return {
        "MELTANO_PROJECT_ROOT": str(tmp_path),
        "MELTANO_EXTRACTOR_NAME": "tap-hubspot-dw",
        "MELTANO_ENVIRONMENT": "dev",
    }


def notes(tmp_path) -> list[dict]:
    file = tmp_path / ".meltano" / "failed-starts" / "tap-hubspot-dw.dev.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def failed(run) -> dict[str, str]:
    return {each["stream"]: each["error"] for each in run.records("sync_history") if each["status"] == "failed"}


@pytest.mark.parametrize(
    ("mistake", "arguments", "sentence"),
    [
        ({"access_token": TOKEN}, ["--discover"], "does not accept the token"),
        ({"access_token": TOKEN}, [], "does not accept the token"),
        ({"objects": ["contacts", "unicorns"]}, ["--discover"], 'has no object called "unicorns"'),
        ({"api_url": "http://127.0.0.1:9"}, ["--discover"], "No answer to"),
        ({"start_date": "yesterday"}, [], 'start_date is "yesterday"'),
        ({"workers": 0}, [], "The configuration is not valid"),
    ],
)
def test_the_next_run_writes_why_the_last_one_could_not_begin(config, tmp_path, meltano, mistake, arguments, sentence):
    """Two runs write it, as the first may not be loaded; the report reads notes that no run has written yet."""
    run = run_tap(tmp_path, config | {"objects": ["divisions"]} | mistake, *arguments, env=meltano)
    assert run.returncode == 1
    output = json.dumps(run.messages)
    left = notes(tmp_path)
    if "status" in output:  # a run, with no catalog: it could still write its history
        assert sentence in " ".join(failed(run).values())
        assert left == []
        return
    assert [(each["plugin"], each["reported"]) for each in left] == [("tap-hubspot-dw", 0)]
    assert sentence in left[0]["error"]
    assert TOKEN not in json.dumps(left)
    good = config | {"objects": ["divisions"], "associations": False}
    first, second, third = (run_tap(tmp_path, good, env=meltano) for _ in range(3))
    for each in (first, second):
        assert failed(each) == {"divisions": f"The run could not start: {left[0]['error']}"}
        assert each.records("sync_history")[-1]["run_id"] == left[0]["run_id"]
    assert (failed(third), notes(tmp_path)) == ({}, [])


def test_a_missing_object_is_in_the_history_at_once_if_there_is_a_catalog(config, tmp_path, meltano):
    catalog = discover(tmp_path, config)
    run = run_tap(tmp_path, config | {"objects": ["contacts", "unicorns"]}, catalog=catalog, env=meltano)
    assert run.returncode == 1
    assert failed(run).keys() == {"contacts", "unicorns"}
    assert notes(tmp_path) == []


def test_reading_some_records_leaves_no_note_and_the_number_of_notes_is_bounded(config, tmp_path, meltano):
    wrong = config | {"access_token": TOKEN}
    run_tap(tmp_path, wrong, "--discover", env=meltano | {"TAP_HUBSPOT_DW_ONLY_IDS": '{"contacts": []}'})
    assert notes(tmp_path) == []
    file = tmp_path / ".meltano" / "failed-starts" / "tap-hubspot-dw.dev.jsonl"
    file.parent.mkdir(parents=True)
    line = {"run_id": "r", "plugin": "tap-hubspot-dw", "began_at": "x", "ended_at": "x", "error": "e", "reported": 0}
    file.write_text(f"{json.dumps(line)}\n" * 2 * MOST_NOTES + '{"run_id": "half\n')
    assert run_tap(tmp_path, wrong, "--discover", env=meltano).returncode == 1
    assert len(notes(tmp_path)) == MOST_NOTES
    assert "does not accept the token" in notes(tmp_path)[-1]["error"]


def test_without_meltano_no_note_is_left(config, tmp_path):
    assert run_tap(tmp_path, config | {"access_token": TOKEN}, "--discover").returncode == 1
    assert not (tmp_path / ".meltano").exists()
