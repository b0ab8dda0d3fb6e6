"""Published third-party taps, unmodified, against the sandbox behind its proxy.

Every tap runs in its own environment, made by uv, and uses the sandbox as api.hubapi.com.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from hubspot_sandbox.control.pytest_plugin import RunningSandbox, start_sandbox
from tests.sandbox.conftest import Api

pytestmark = pytest.mark.slow

SINGER_IO = "tap-hubspot==4.5.0"
MELTANO_LABS = "meltano-tap-hubspot==0.10.1"
#: Before every seeded timestamp.
START = "2016-01-01T00:00:00Z"
PORTAL: dict[str, Any] = {
    "contacts": 230, "companies": 30, "deals": 310, "tickets": 25, "divisions": 12, "tier": "unlimited",
    # That tap stops at a text in a number, as it does with real portals.
    "no_oddities": True,
}  # fmt: skip


def uv() -> str:
    """Return the uv of this environment, else of the machine."""
    here = Path(sys.executable).with_name("uv")
    uv = str(here) if here.exists() else shutil.which("uv")
    assert uv, "These tests need uv."
    return uv


@dataclass
class Tap:
    """An installed tap: its program, its working folder, and its sandbox."""

    program: Path
    folder: Path
    running: RunningSandbox

    def run(self, *words: str, **config: Any) -> str:
        """Run the program and return its standard output; fail with its error output if it fails."""
        (self.folder / "config.json").write_text(json.dumps({"start_date": START, **config}))
        without_proxy = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        done = subprocess.run(
            [self.program, "--config", "config.json", *words],
            cwd=self.folder,
            env={
                **without_proxy,
                "HTTPS_PROXY": str(self.running.proxy),
                "REQUESTS_CA_BUNDLE": str(self.running.ca_file),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        return done.stdout

    def catalog(self, selected: set[str] | None, **config: Any) -> dict[str, Any]:
        """Discover, select some streams (None: all), and write the catalog to the file for `--catalog`."""
        catalog: dict[str, Any] = json.loads(self.run("--discover", **config))
        for stream in catalog["streams"]:
            for row in stream["metadata"]:
                if not row["breadcrumb"]:
                    row["metadata"]["selected"] = selected is None or stream["tap_stream_id"] in selected
        (self.folder / "catalog.json").write_text(json.dumps(catalog))
        return catalog


def records(output: str) -> dict[str, list[dict[str, Any]]]:
    """Return the records of Singer messages by stream."""
    by_stream: dict[str, list[dict[str, Any]]] = {}
    for line in output.splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            by_stream.setdefault(message["stream"], []).append(message["record"])
    return by_stream


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[str, str], Tap]]:
    started: list[RunningSandbox] = []

    def make(requirement: str, program: str) -> Tap:
        environment = tmp_path / "environment"
        python = str(environment / "bin" / "python")
        for words in (
            ("venv", "--python", sys.executable, str(environment)),
            ("pip", "install", "--python", python, requirement),
        ):
            # Outside this project, because that tap does not have its pinned versions.
            subprocess.run([uv(), *words, "--quiet"], check=True, timeout=120, cwd=tmp_path)
        ca_file = tmp_path / "ca.pem"
        running = start_sandbox(**PORTAL, proxy_port=0, ca_file=ca_file)
        started.append(running)
        bundle = next(environment.glob("lib/*/site-packages/certifi/cacert.pem"))
        known = bundle.read_bytes()
        bundle.unlink()  # a new file, because uv's environments share files with its cache
        bundle.write_bytes(known + ca_file.read_bytes())
        return Tap(environment / "bin" / program, tmp_path, running)

    yield make
    for running in started:
        running.stop()


def ids(running: RunningSandbox, plural: str) -> list[str]:
    return [row["id"] for row in running.truth(plural)]


def test_singer_ios_tap_discovers_and_syncs_every_stream(install: Callable[[str, str], Tap]) -> None:
    tap = install(SINGER_IO, "tap-hubspot")
    century = 100 * 365 * 86_400_000
    config = {"api_key": tap.running.token, "email_chunk_size": century, "subscription_chunk_size": century}
    catalog = tap.catalog(None, **config)
    streams = {stream["tap_stream_id"] for stream in catalog["streams"]}
    assert streams >= {"contacts", "deals", "companies", "tickets", "owners", "deal_pipelines", "division"}
    loaded = records(tap.run("--properties", "catalog.json", **config))
    truth = {plural: ids(tap.running, plural) for plural in ("contacts", "deals", "companies", "tickets", "divisions")}
    assert [row["id"] for row in loaded["contacts"]] == truth["contacts"]
    assert [str(row["dealId"]) for row in loaded["deals"]] == truth["deals"]
    assert [str(row["companyId"]) for row in loaded["companies"]] == truth["companies"]
    assert [row["id"] for row in loaded["tickets"]] == truth["tickets"]
    assert [row["id"] for row in loaded["division"]] == truth["divisions"]
    edges = {(str(row["company-id"]), str(row["contact-id"])) for row in loaded["contacts_by_company"]}
    assert edges == {
        (row["fromId"], row["toId"])
        for row in tap.running.truth_associations()
        if (row["fromType"], row["toType"]) == ("0-2", "0-1")
    }
    assert len(loaded["deal_pipelines"]) == 2
    by_id = {row["id"]: row["properties"] for row in tap.running.truth("deals")}
    for row in loaded["deals"]:
        assert row["property_dealname"]["value"] == by_id[str(row["dealId"])]["dealname"]
        assert (
            row["property_hs_lastmodifieddate"]["value"][:19] == by_id[str(row["dealId"])]["hs_lastmodifieddate"][:19]
        )
    assert set(tap.running.log()["byStatus"]) <= {"200", "207"}


def test_meltano_labs_tap_discovers_and_syncs_contacts_and_deals(install: Callable[[str, str], Tap]) -> None:
    tap = install(MELTANO_LABS, "tap-hubspot")
    catalog = tap.catalog({"contacts", "deals"}, access_token=tap.running.token)
    assert {stream["tap_stream_id"] for stream in catalog["streams"]} >= {"contacts", "deals", "companies", "owners"}
    loaded = records(tap.run("--catalog", "catalog.json", access_token=tap.running.token))
    for plural in ("contacts", "deals"):
        assert sorted(str(row["id"]) for row in loaded[plural]) == sorted(ids(tap.running, plural))
    assert set(tap.running.log()["byStatus"]) <= {"200", "207"}


def test_the_proxy_costs_no_more_than_its_encryption(tmp_path: Path) -> None:
    """Small requests over one tunnel, with and without a body; a delay of 40 ms for an acknowledgement would show."""
    running = start_sandbox(contacts=5, tier="unlimited", proxy_port=0, ca_file=tmp_path / "ca.pem")
    with requests.Session() as session:
        session.trust_env = False
        session.proxies, session.verify = {"https": str(running.proxy)}, str(running.ca_file)
        api = Api(running, session)
        link = "https://api.hubapi.com/crm/v3/objects/contacts?limit=1"
        assert api.get(link).status_code == 200
        started = time.monotonic()
        for _ in range(60):
            assert api.get(link).status_code == 200
            assert api.post("https://api.hubapi.com/crm/v3/objects/contacts/search", {"limit": 1}).status_code == 200
        taken = time.monotonic() - started
    running.stop()
    assert taken < 2
