"""The Python interface of tap and target: the how-to's code works as it stands, one part after another."""

from __future__ import annotations

import gc
import io
import json
import re
import signal
from pathlib import Path

import pytest

import tap_hubspot_dw
import target_warehouse

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "from-python.md"
SMALL = {"contacts": 300, "appointments": 60, "divisions": 4, "deals": 100, "associations": 300}


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    return sandbox_factory(**SMALL, tier="unlimited")


def test_the_pages_code_does_what_it_says(portal, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAP_HUBSPOT_DW_ACCESS_TOKEN", portal.token)
    monkeypatch.setenv("TAP_HUBSPOT_DW_API_URL", portal.url)
    before = gc.get_threshold(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    assert before == (gc.get_threshold(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    printed = capsys.readouterr().out
    contacts = {record["id"] for record in portal.truth("contacts")}
    assert f"{len(contacts)} contacts are new." in printed
    assert "contacts is read up to 20" in printed
    assert {str(row["id"]) for row in names["contacts"].to_pylist()} == contacts
    assert json.loads((tmp_path / "state.json").read_text()) == names["loaded"].state
    with target_warehouse.open_warehouse({"warehouse": "duckdb:///copy.duckdb"}) as copy:
        assert copy.query("SELECT count(*) > 0 FROM melty.owners") == [(True,)]
        assert "contacts" not in copy.tables()
    with target_warehouse.open_warehouse(names["TARGET"]) as warehouse:
        assert warehouse.query("SELECT colour FROM hubspot.colours") == [("red",)]


def test_a_second_run_from_the_state_reads_only_what_changed(portal):
    first, second = io.BytesIO(), io.BytesIO()
    config = {"access_token": portal.token, "api_url": portal.url, "objects": ["contacts"], "associations": False}
    tap_hubspot_dw.write_messages(first, config)
    state = [json.loads(line)["value"] for line in first.getvalue().splitlines() if b'"STATE"' in line[:20]][-1]
    tap_hubspot_dw.write_messages(second, config, state=state)
    lines = [json.loads(line) for line in second.getvalue().splitlines()]
    assert not [line for line in lines if line["type"] == "RECORD" and line["stream"] == "contacts"]
    assert tap_hubspot_dw.bookmarks(state)["contacts"].tzinfo is not None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "access_token"),
        ({"access_token": "x", "workers": "many"}, "workers"),
        ({"access_token": "x", "api_url": "http://127.0.0.1:9", "objects": ["nonsense"]}, "nonsense|127.0.0.1:9"),
    ],
)
def test_what_is_wrong_is_an_error_of_one_sentence(config, words):
    with pytest.raises(tap_hubspot_dw.HubSpotError, match=words) as error:
        tap_hubspot_dw.write_messages(io.BytesIO(), config)
    assert "\n" not in str(error.value)


def test_a_state_that_is_none_is_an_error():
    with pytest.raises(tap_hubspot_dw.HubSpotError, match="cannot be read"):
        tap_hubspot_dw.bookmarks({"state": 1})
