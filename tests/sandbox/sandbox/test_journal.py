"""The journal restores a portal after a stop, except for a clean start or another portal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hubspot_sandbox.control.admin_client import AdminClient
from hubspot_sandbox.control.pytest_plugin import RunningSandbox, start_sandbox
from tests.sandbox.commands import free_port, run
from tests.sandbox.conftest import Api

PORTAL: dict[str, Any] = {"contacts": 300, "contact_properties": 60, "deals": 80, "appointments": 60, "tickets": 20}


def everything(client: AdminClient) -> dict[str, Any]:
    """Return all data of the portal: records in every state with their timestamps, and edges."""
    types = ("contacts", "companies", "deals", "tickets", "appointments", "divisions")
    states = ("live", "archived", "merged", "deleted")
    records: dict[str, Any] = {f"{t} {s}": list(client.truth(t, s)) for t in types for s in states}
    return records | {"edges": list(client.truth_associations())}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "journal.jsonl"


@pytest.fixture
def serve(journal: Path) -> Iterator[Any]:
    running: list[RunningSandbox] = []

    def start(**options: Any) -> RunningSandbox:
        running.append(start_sandbox(**{**PORTAL, "journal": journal, "tier": "unlimited", **options}))
        return running[-1]

    yield start
    for sandbox in running:
        sandbox.stop()


def test_every_kind_of_change_is_restored(serve: Any, http: requests.Session) -> None:
    first = serve(api_quirk="restore-bumps=false")
    api = Api(first, http)
    first.random(300, seed=5)
    first.clock.advance(86_400)
    first.mutate(
        [
            {"kind": "define-property", "type": "contacts", "name": "shoe_size", "propertyType": "number"},
            {"kind": "bulk-touch", "type": "contacts", "count": 40, "properties": {"shoe_size": "43"}},
            {"kind": "archive", "type": "deals", "id": next(first.truth("deals"))["id"], "daysAgo": 3},
            {"kind": "edit-while-paging", "type": "contacts", "every": 1, "times": 2},
            {"kind": "churn-while-paging", "type": "contacts", "every": 1, "times": 2},
        ]
    )
    first.mutate([{"kind": "restore", "type": "deals", "id": next(first.truth("deals", "archived"))["id"]}])
    assert api.get("/crm/v3/objects/contacts?archived=true").status_code == 200
    api.listed("/crm/v3/objects/contacts?limit=100")
    api.search("contacts", limit=100)
    before = everything(first)
    first.stop()
    second = serve()
    assert everything(second) == before
    created = second.mutate([{"kind": "create", "type": "contacts"}])[0]["id"]
    assert int(created) > max(int(row["id"]) for row in before["contacts live"])
    assert Api(second, http).search("contacts")["total"] == len(before["contacts live"]) + 1


def test_a_change_half_written_by_a_killed_server_is_dropped(serve: Any, journal: Path) -> None:
    first = serve()
    first.mutate([{"kind": "archive", "type": "contacts", "id": "51"}])
    first.process.kill()
    first.process.wait(10)
    with journal.open("ab") as file:
        file.write(b'{"at": 17')
    second = serve()
    assert [row["id"] for row in second.truth("contacts", "archived")] == ["51"]
    second.mutate([{"kind": "restore", "type": "contacts", "id": "51"}])
    second.stop()
    assert list(serve().truth("contacts", "archived")) == []


def test_a_reset_empties_the_journal(serve: Any) -> None:
    first = serve()
    clean = everything(first)
    first.random(20)
    first.reset()
    first.stop()
    assert everything(serve()) == clean


def test_a_refused_mutation_is_not_in_the_journal(serve: Any, journal: Path) -> None:
    running = serve()
    with pytest.raises(Exception, match="no live record '50'"):
        running.mutate([{"kind": "archive", "type": "contacts", "id": id_} for id_ in ("51", "50")])
    assert [json.loads(line)["mutation"]["id"] for line in journal.read_bytes().splitlines()[1:]] == ["51"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense\n", "Line 2 of the journal .* is not a change"),
        (
            b'{"at": 1, "mutation": {"kind": "archive", "type": "contacts", "id": "50"}, "quirks": {}}\n',
            "Line 2 of the journal .* cannot be applied again .*no live record '50'",
        ),
    ],
)
def test_a_journal_that_cannot_be_applied_is_one_sentence(
    serve: Any, journal: Path, capfd: pytest.CaptureFixture[str], line: bytes, why: str
) -> None:
    serve().stop()
    with journal.open("ab") as file:
        file.write(line)
    with pytest.raises(RuntimeError, match="ended with code 1"):
        serve()
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(why, errors)


@pytest.mark.slow
def test_up_restores_the_portal_of_the_last_run(tmp_path: Path) -> None:
    state = tmp_path / "state"
    port = str(free_port())
    options = ("--port", port, "--contacts", "30", "--contact-properties", "40")
    client = AdminClient(f"http://127.0.0.1:{port}")
    try:
        run("up", *options, state_dir=state)
        client.random(25)
        left = everything(client)
        run("down", state_dir=state)
        again = run("up", *options, "--tier", "free", "--index-lag-seconds", "2", state_dir=state)
        assert "25 earlier changes are applied again" in again.stdout
        assert everything(client) == left
        run("down", state_dir=state)
        other = run("up", *options, "--seed", "2", state_dir=state)
        assert "starts clean: the 25 changes in" in other.stdout
        assert "were made with other options" in other.stdout
        client.mutate([{"kind": "archive", "type": "contacts", "id": "51"}])
        fresh = run("up", "--fresh", *options, "--seed", "2", state_dir=state)
        assert "changes" not in fresh.stdout
        run("down", state_dir=state)
        assert "changes" not in run("up", *options, "--seed", "2", state_dir=state).stdout
        assert list(client.truth("contacts", "archived")) == []
    finally:
        run("down", state_dir=state)
