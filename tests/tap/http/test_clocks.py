"""No change is missed, however wrong this machine's clock or the Date of HubSpot's replies is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.tap.table import Table

HOUR, DAY = 3_600, 86_400


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    return sandbox_factory(
        contacts=60, deals=1, appointments=1, associations=1, contact_properties=25, tier="unlimited"
    )


@pytest.fixture
def table(portal, tmp_path):
    portal.reset()
    settings = {"api_url": portal.url, "access_token": portal.token, "objects": ["contacts"], "lookback_minutes": 0}
    return Table(settings, tmp_path)


def edited(portal, number: int) -> str:
    """Edit a contact, and return its id."""
    target = [each["id"] for each in portal.truth("0-1")][number]
    portal.mutate([{"kind": "edit", "type": "0-1", "id": target, "properties": {"firstname": f"New {number}"}}])
    return target


def seconds_apart(text: str, timestamp: datetime) -> float:
    return abs((datetime.fromisoformat(text) - timestamp).total_seconds())


@pytest.mark.parametrize(("seconds", "where"), [(2 * HOUR, "behind"), (-2 * HOUR, "ahead of")])
def test_with_a_clock_that_is_wrong_by_hours_changes_come_at_once_and_times_are_hubspots(portal, table, seconds, where):
    portal.clock.advance(seconds)
    table.run()
    for number in range(3):
        target = edited(portal, number)
        run = table.run()
        assert [each["id"] for each in run.records("contacts")] == [target]
        assert f"s {where} HubSpot's" in run.log
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    assert seconds_apart(table.state["bookmarks"]["contacts"]["replication_key_value"], now) < 60
    (line,) = [each for each in run.messages if each["type"] == "RECORD" and each["stream"] == "contacts"]
    assert seconds_apart(line["time_extracted"], now) < 60
    for record in run.records("sync_history"):
        for name in ("started_at", "finished_at", "window_until"):
            assert seconds_apart(record[name], now) < 60


@pytest.mark.parametrize("said", [None, 5 * HOUR, -5 * HOUR, 3 * DAY, -3 * DAY, 40 * 365 * DAY], ids=str)
def test_a_wrong_date_from_a_proxy_changes_nothing(portal, table, said):
    """HubSpot also writes the time into the body of a reply."""
    table.run()
    portal.settings(dateOffsetSeconds=said)
    for number in range(2):
        target = edited(portal, number)
        run = table.run()
        assert target in {each["id"] for each in run.records("contacts")}
        assert ("look for a proxy that writes Date" in run.log) == (said is not None)
    assert seconds_apart(table.state["bookmarks"]["contacts"]["replication_key_value"], datetime.now(UTC)) < 60


def test_each_stream_s_history_says_up_to_when_it_was_read(portal, table):
    for _ in range(2):
        run = table.run()
        windows = {each["stream"]: each["window_until"] for each in run.records("sync_history")}
        assert {"contacts", "owners", "pipelines", "pipeline_stages", "properties", "associations"} <= windows.keys()
        assert all(windows.values())
        assert len(set(windows.values())) == 1
