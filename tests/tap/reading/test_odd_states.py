"""A state of any shape is read, or refused in one sentence before anything is written; it is never ignored."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.reading.saved_values import bookmarks_of
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.singer.streams.saved_state import checked_text
from tests.tap.running import GOOD, run_tap

TIMESTAMP = "2026-11-23T20:00:00.000Z"
SECONDS = int(datetime.fromisoformat(TIMESTAMP).timestamp())


#: States that no run can start from, by a part of their error message.
NOT_A_STATE = {
    "": "is not JSON",
    "contacts": "is not JSON",
    '{"bookmarks": {"contacts": {"replication_key_value": NaN}}}': "is not JSON",
    "[" * 100_000: "is not JSON",
    "null": "it is null",
    "[]": "it is a list",
    '"2026-11-23"': "it is a text",
    "1795464000": "it is a number",
    '{"contacts": {"replication_key_value": "2026-11-23"}}': "it has no bookmarks, but contacts",
    '{"bookmarks": null}': "its bookmarks are null",
    '{"bookmarks": []}': "its bookmarks are a list",
    '{"bookmarks": [{"contacts": {}}]}': "its bookmarks are a list",
    '{"bookmarks": "contacts"}': "its bookmarks are a text",
    '{"bookmarks": {"contacts": null}}': "the bookmark of contacts is null",
    '{"bookmarks": {"contacts": "2026-11-23"}}': "the bookmark of contacts is a text",
    '{"bookmarks": {"contacts": []}}': "the bookmark of contacts is a list",
    '{"singer_state": null}': "it is null",
    '{"singer_state": {"singer_state": {"contacts": 1}}}': "it has no bookmarks, but contacts",
    '{"type": "STATE", "value": 5}': "it is a number",
}

#: Invalid values of a bookmark, each with a part of its error message.
UNREADABLE: list[tuple[dict[str, object], str]] = [
    ({"replication_key_value": "yesterday"}, "replication_key_value is a text that is not a timestamp"),
    ({"replication_key_value": [TIMESTAMP]}, "replication_key_value is a list that is not a timestamp"),
    ({"replication_key_value": {"at": TIMESTAMP}}, "replication_key_value is an object that is not a timestamp"),
    ({"replication_key_value": True}, "replication_key_value is true or false that is not a timestamp"),
    ({"replication_key_value": 10**30}, "replication_key_value is a number that is not a timestamp"),
    ({"replication_key_value": "9" * 40}, "replication_key_value is a text that is not a timestamp"),
    ({"replication_key_value": "9999-12-31T23:59:59-01:00"}, "replication_key_value is a text"),
    ({"replication_key_value": TIMESTAMP, "version": "one"}, "version has a text where a whole number belongs"),
    ({"replication_key_value": TIMESTAMP, "version": 1.5}, "version has a number"),
    ({"replication_key_value": TIMESTAMP, "version": -1}, "version has a number"),
    ({"replication_key_value": TIMESTAMP, "version": 10**30}, "version has a number"),
    ({"replication_key_value": TIMESTAMP, "version": []}, "version has a list"),
    ({"replication_key_value": TIMESTAMP, "full_pass_at": {}}, "full_pass_at is an object"),
    ({"replication_key_value": TIMESTAMP, "archived": [1, 2]}, "archived is a list, not a text"),
    ({"replication_key_value": TIMESTAMP, "archived": "eJx"}, "a set of ids is damaged"),
    ({"replication_key_value": TIMESTAMP, "properties": 7}, "properties is a number, not a text"),
    ({"full_pass": []}, "full_pass is a list, not an object"),
    ({"full_pass": {"version": 9}}, "full_pass is not one that this tap began"),
    ({"full_pass": {"version": 9, "started_at": TIMESTAMP, "ranges": ["0:5"]}}, "full_pass has a range that is not"),
    ({"pairs": [TIMESTAMP]}, "pairs is a list, not an object"),
    ({"pairs": {"deals:contacts": "x"}}, "pairs is a text that is not a timestamp"),
    ({"pair_passes": {"deals:contacts": TIMESTAMP}}, "pair_passes is a text, not an object"),
    (
        {"pair_passes": {"deals:contacts": {"at": TIMESTAMP, "version": 1}}},
        "pair_passes has null where a whole number belongs",
    ),
    ({"lists": ["deals"]}, "lists is a list, not an object"),
    ({"lists": {"deals": "many"}}, "lists has a text where a whole number belongs"),
    ({"objects": "deals"}, "objects is a text, not a list of texts"),
    ({"objects": [1]}, "objects is a list, not a list of texts"),
]


@pytest.mark.parametrize(("text", "said"), NOT_A_STATE.items(), ids=[text[:40] for text in NOT_A_STATE])
def test_an_invalid_state_is_refused(text, said):
    with pytest.raises(SettingsError, match=said):
        checked_text(io.StringIO(text))


@pytest.mark.parametrize("text", ["contacts", "[]", '{"bookmarks": {"contacts": null}}'])
def test_an_invalid_state_is_refused_before_any_request(tmp_path, text):
    _assert_refused(_run(tmp_path, GOOD, text), NOT_A_STATE[text])


@pytest.mark.parametrize(("bookmark", "said"), UNREADABLE, ids=lambda each: json.dumps(each)[:60])
def test_an_invalid_bookmark_is_refused(bookmark, said):
    with pytest.raises(ValueError, match=said):
        StreamState.from_json(bookmark)


@pytest.mark.parametrize(("stream", "place"), [("contacts", 0), ("associations", 19), ("pipelines", 23)])
def test_a_bookmark_that_cannot_be_read_is_refused_before_anything_is_written(config, tmp_path, stream, place):
    bookmark, said = UNREADABLE[place]
    run = _run(tmp_path, config, json.dumps({"bookmarks": {stream: bookmark}}))
    _assert_refused(run, f"The state of {stream} is not readable ({said})")


#: The same timestamp as other taps and people write it.
SPELLINGS = {
    "ISO 8601": TIMESTAMP,
    "without a fraction": "2026-11-23T20:00:00Z",
    "with an offset": "2026-11-23T21:00:00+01:00",
    "with a space": "2026-11-23 20:00:00",
    "seconds": SECONDS,
    "seconds as a text": str(SECONDS),
    "seconds with a fraction": SECONDS + 0.0,
    "milliseconds": SECONDS * 1000,
    "milliseconds as a text": f" {SECONDS * 1000} ",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_timestamp_is_understood_in_any_spelling(spelling):
    assert StreamState.from_json({"replication_key_value": spelling}).bookmark == datetime(2026, 11, 23, 20, tzinfo=UTC)


@pytest.mark.parametrize("early", ["0001-01-01T00:00:00Z", 0, -5, "0", "1969-12-31", "1970-01-01T00:00:00+14:00"])
def test_a_timestamp_before_hubspot_existed_means_everything(early):
    bookmark = StreamState.from_json({"replication_key_value": early}).bookmark
    assert bookmark == datetime(1970, 1, 2, tzinfo=UTC)
    assert bookmark - timedelta(days=1) >= datetime(1970, 1, 1, tzinfo=UTC)


WRAPPED = {
    "as it is": '{"bookmarks": %s}',
    "with what singer-python adds": '{"currently_syncing": null, "bookmarks": %s}',
    "as Meltano prints it": '{"singer_state": {"bookmarks": %s}}',
    "a line of a tap's output": '{"type": "STATE", "value": {"bookmarks": %s}}',
    "with a byte order mark": '\ufeff{"bookmarks": %s}',
}


@pytest.mark.parametrize("form", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapped_state_is_read(config, tmp_path, form):
    text = form % json.dumps({"divisions": {"replication_key_value": SECONDS}})
    run = _run(tmp_path, config | {"objects": ["divisions"], "lookback_minutes": 0}, text)
    assert run.returncode == 0, run.log
    (done,) = (each for each in run.records("sync_history") if each["stream"] == "divisions")
    assert (done["mode"], done["window_since"]) == ("incremental", TIMESTAMP)


@pytest.mark.parametrize(
    ("bookmark", "warning"),
    [
        ({}, ""),
        ({"replication_key_value": None, "partitions": []}, ""),
        ({"property_hs_lastmodifieddate": TIMESTAMP, "offset": {"a": 1}}, "property_hs_lastmodifieddate, offset"),
    ],
)
def test_a_bookmark_that_this_tap_cannot_use_is_reported_and_everything_is_read(config, tmp_path, bookmark, warning):
    text = json.dumps({"bookmarks": {"divisions": bookmark}})
    run = _run(tmp_path, config | {"objects": ["divisions"]}, text)
    assert run.returncode == 0, run.log
    assert len(run.records("divisions")) == 6
    assert ("divisions: its state has" in run.log) is bool(warning)
    assert warning in run.log


def test_a_bookmark_far_in_the_future_is_reported_and_everything_is_read(config, tmp_path):
    text = json.dumps({"bookmarks": {"divisions": {"replication_key_value": "9999-12-31T23:59:59.999Z"}}})
    run = _run(tmp_path, config | {"objects": ["divisions"]}, text)
    assert run.returncode == 0, run.log
    assert "divisions: its bookmark 9999-12-31 23:59:59.999000+00:00 is in the future" in run.log
    assert len(run.records("divisions")) == 6
    assert run.state["bookmarks"]["divisions"]["replication_key_value"] < "2100"


FUTURE = 9_999_999_999_999
AHEAD = "2062-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"version": FUTURE}, f"version {FUTURE}"),
        ({"full_pass_at": AHEAD}, f"full_pass_at {AHEAD}"),
        ({"full_pass": {"version": FUTURE, "started_at": TIMESTAMP, "ranges": []}}, f"full_pass version {FUTURE}"),
        ({"full_pass": {"version": FUTURE, "started_at": AHEAD, "ranges": []}}, f"version {FUTURE}"),
    ],
)
def test_a_version_or_a_full_pass_in_the_future_is_reported_and_no_record_gets_its_version(
    config, tmp_path, saved, said
):
    """A table with rows of such a version would ignore the versions of all later full passes."""
    text = json.dumps({"bookmarks": {"divisions": {"replication_key_value": TIMESTAMP, **saved}}})
    run = _run(tmp_path, config | {"objects": ["divisions"], "reread_since": "2020-01-01"}, text)
    assert run.returncode == 0, run.log
    assert f"divisions: its state has times in the future ({said})" in run.log
    versions = {each["version"] for each in run.messages if each.get("stream") == "divisions" and "version" in each}
    assert len(versions) == 1
    assert max(versions) < FUTURE // 2
    assert run.state["bookmarks"]["divisions"]["version"] in versions
    assert run.state["bookmarks"]["divisions"].get("full_pass_at", "") < "2060"


def test_the_version_of_a_pair_in_the_future_is_reported_and_the_pair_is_read_in_full(config, tmp_path):
    last = {"at": TIMESTAMP, "version": FUTURE, "rows": 1}
    saved = {"replication_key_value": TIMESTAMP, "version": FUTURE, "pairs": {"deals:contacts": TIMESTAMP}}
    text = json.dumps({"bookmarks": {"associations": saved | {"pair_passes": {"deals:contacts": last}}}})
    run = _run(tmp_path, config | {"objects": ["deals", "contacts"]}, text)
    assert run.returncode == 0, run.log
    assert f"associations: its state has times in the future (version {FUTURE}, deals:contacts version" in run.log
    assert {
        each["version"] < FUTURE // 2
        for each in run.messages
        if each.get("stream") == "associations" and "record" in each
    } == {True}
    assert run.records("associations")
    assert run.state["bookmarks"]["associations"]["pair_passes"]["deals:contacts"]["version"] < FUTURE // 2


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([TIMESTAMP, SECONDS, "0001-01-01", "9999-12-31T23:59:59.999Z"])
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    *("replication_key_value", "version", "full_pass_at", "full_pass", "pairs", "pair_passes", "archived"),
    *("properties", "objects", "lists"),
]


@given(st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=4))
def test_any_bookmark_is_read_or_refused(bookmark):
    with suppress(ValueError):
        state = StreamState.from_json(bookmark)
        kept = StreamState.from_json(json.loads(json.dumps(state.to_json("updated_at"))))
        assert StreamState.from_json(kept.to_json("updated_at")) == kept
        assert (kept.version, kept.lists, kept.archived) == (state.version, state.lists, state.archived)


@given(ANY_JSON | st.dictionaries(st.sampled_from(["bookmarks", "singer_state", "type", "value"]), ANY_JSON))
def test_any_state_is_read_or_refused(state):
    with suppress(ValueError):
        assert all(isinstance(each, dict) for each in bookmarks_of(state).values())


def _run(folder, config, text):
    path = folder / "odd_state.json"
    path.write_text(text, encoding="utf-8")
    return run_tap(folder, config, "--state", str(path))


def _assert_refused(run, *said: str) -> None:
    assert run.returncode == 1
    assert run.messages == []
    assert "Traceback" not in run.log
    errors = [line for line in run.log.splitlines() if "| ERROR" in line]
    assert len(errors) == 1, run.log
    for each in said:
        assert each in errors[0]
