"""An interrupted full pass continues where it stopped, and a signal ends the tap soon and with a valid state."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import datetime

import pytest

from tap_hubspot_dw.hubspot.limits import Limits
from tests.tap.running import CLEAN, TAP, VERSION, run_tap

TOTAL = 60_500
PAGE = 100


@pytest.fixture(scope="module")
def long_list(sandbox_factory):
    return sandbox_factory(
        contacts=TOTAL, deals=1, appointments=1, associations=1, contact_properties=30, tier="unlimited"
    )


@pytest.fixture(scope="module")
def contacts(long_list) -> set[str]:
    """The ids of the list."""
    return {each["id"] for each in long_list.truth("0-1")}


def interrupted_run(folder, settings, state, *, after_records: int, with_signal: int):
    """Run the tap until it has written a number of records, then send the signal; return (exit code, messages)."""
    (folder / "config.json").write_text(json.dumps(VERSION | settings))
    (folder / "state.json").write_text(json.dumps(state))
    command = [str(TAP), "--config", str(folder / "config.json"), "--state", str(folder / "state.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=CLEAN)
    messages, records = [], 0
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break  # cut off in the middle of a line, as a pipe may be
        messages.append(json.loads(line))
        records += messages[-1]["type"] == "RECORD"
        if records == after_records:
            process.send_signal(with_signal)
            signalled = time.monotonic()
    code = process.wait()
    process.stdout.close()
    assert time.monotonic() - signalled < 5, "the tap took too long to end"
    return code, messages


@pytest.mark.slow
@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_killed_pass_reads_again_what_followed_its_last_checkpoint(long_list, contacts, tmp_path, percent):
    settings = {"api_url": long_list.url, "access_token": long_list.token, "objects": ["contacts"]}
    settings |= {"associations": False, "workers": 2, "include_properties": {"*": ["email"]}}
    after = TOTAL * percent // 100
    code, messages = interrupted_run(tmp_path, settings, {}, after_records=after, with_signal=signal.SIGKILL)
    assert code == -signal.SIGKILL
    ids = [each["record"]["id"] for each in messages if each["type"] == "RECORD" and each["stream"] == "contacts"]
    state = next((each["value"] for each in reversed(messages) if each["type"] == "STATE"), {})
    again = run_tap(tmp_path, settings, state=state)
    assert again.returncode == 0, again.log
    ids_again = [each["id"] for each in again.records("contacts")]
    assert set(ids) | set(ids_again) == contacts
    repeated = len(ids) + len(ids_again) - TOTAL
    assert repeated <= Limits().checkpoint_records + PAGE
    assert again.message_types("contacts")[-1] == "ACTIVATE_VERSION"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_with_its_code_and_a_valid_state(long_list, tmp_path, number):
    settings = {"api_url": long_list.url, "access_token": long_list.token, "objects": ["contacts"]}
    code, messages = interrupted_run(tmp_path, settings, {}, after_records=3_000, with_signal=number)
    assert code == 128 + number
    saved = next(each["value"] for each in reversed(messages) if each["type"] == "STATE")["bookmarks"]["contacts"]
    assert "full_pass" in saved
    assert "replication_key_value" not in saved
    history = [each["record"] for each in messages if each["type"] == "RECORD" and each["stream"] == "sync_history"]
    assert [(each["status"], each["error"]) for each in history if each["stream"] == "contacts"] == [
        ("interrupted", "Stopped by a signal.")
    ]
    again = run_tap(tmp_path, settings | {"max_records": 5}, state={"bookmarks": {"contacts": saved}})
    assert again.returncode == 0, again.log


def test_a_stalled_connection_does_not_delay_the_end(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=3_000, deals=1, associations=1, contact_properties=20, tier="unlimited")
    sandbox.faults([{"match": "list contacts", "from": 10, "stallSeconds": 60}])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"]}
    code, _ = interrupted_run(tmp_path, settings, {}, after_records=850, with_signal=signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    sandbox.stop()


@pytest.mark.parametrize("trouble", [{"stallSeconds": 60}, {"status": 503}], ids=["stalled", "tried again"])
def test_a_signal_ends_a_discovery_that_waits_for_hubspot_with_its_code(sandbox_factory, tmp_path, trouble):
    sandbox = sandbox_factory(contacts=10, deals=1, associations=1, contact_properties=20, tier="unlimited")
    sandbox.faults([{"match": "properties contacts", **trouble}])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}
    (tmp_path / "config.json").write_text(json.dumps(VERSION | settings))
    command = [str(TAP), "--config", str(tmp_path / "config.json"), "--discover"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=CLEAN, text=True)
    while not sandbox.fault_counts()[0]["fired"]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=5)
    assert process.returncode == 128 + signal.SIGTERM, log
    assert "Traceback" not in log
    sandbox.stop()


def test_a_stalled_connection_does_not_delay_other_reads(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=4_000, deals=300, associations=1, contact_properties=20, tier="unlimited")
    sandbox.faults([{"match": "list contacts", "nth": 3, "stallSeconds": 8}])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}
    run = run_tap(tmp_path, settings | {"associations": False})
    assert run.returncode == 0, run.log
    seconds = {each["stream"]: _seconds(each) for each in run.records("sync_history")}
    assert seconds["contacts"] >= 7
    assert seconds["deals"] < 4
    kinds = [each["record"]["id"] for each in run.messages if each.get("stream") == "contacts" and "record" in each]
    assert len(set(kinds)) == 4_000
    sandbox.stop()


def _seconds(history) -> float:
    begun, ended = (datetime.fromisoformat(history[name]) for name in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()
