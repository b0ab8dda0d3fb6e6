"""The commands as a user runs them, and the proxy behind which the sandbox is api.hubapi.com."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hubspot_sandbox.control.pytest_plugin import RunningSandbox, start_sandbox
from tests.sandbox.commands import COMMAND, free_port, run


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    run("down", state_dir=folder)


def test_up_and_down_are_idempotent(state_dir: Path) -> None:
    port = str(free_port())
    first = run("up", "--port", port, "--contacts", "7", state_dir=state_dir)
    assert (first.returncode, first.stderr) == (0, "")
    pid = json.loads((state_dir / "sandbox.json").read_text())["pid"]
    again = run("up", "--port", port, "--contacts", "7", state_dir=state_dir)
    assert again.returncode == 0
    assert f"already running at http://127.0.0.1:{port} (pid {pid})" in again.stdout
    other = run("up", "--port", port, "--contacts", "8", state_dir=state_dir)
    assert (other.returncode, other.stdout) == (1, "")
    assert "other options" in other.stderr
    assert "edit: 1" in run("mutate", "edit", "contacts", "51", "firstname=Neu", state_dir=state_dir).stdout
    fresh = run("up", "--fresh", "--port", port, "--contacts", "7", state_dir=state_dir)
    assert fresh.returncode == 0
    headers = {"Authorization": "Bearer pat-sandbox-not-a-secret"}
    row = requests.get(f"http://127.0.0.1:{port}/crm/v3/objects/contacts/51", headers=headers, timeout=10).json()
    assert row["properties"]["firstname"] != "Neu"
    assert run("down", state_dir=state_dir).stdout == f"The sandbox at http://127.0.0.1:{port} is stopped.\n"
    gone = run("down", state_dir=state_dir)
    assert (gone.returncode, gone.stdout) == (0, "No sandbox is running.\n")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/sandbox/status", timeout=5)


def test_up_names_a_port_that_something_else_serves(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.settimeout(20)
        process = subprocess.Popen(
            [*COMMAND, "up", "--port", str(port), "--state-dir", str(state_dir)], stderr=subprocess.PIPE, text=True
        )
        connection, _ = other.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        connection.close()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "something that is not a sandbox" in errors


def test_an_idle_sandbox_stops(state_dir: Path) -> None:
    port = free_port()
    assert (
        run("up", "--port", str(port), "--idle-minutes", "0.03", "--contacts", "1", state_dir=state_dir).returncode == 0
    )
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                break
        time.sleep(0.1)
    else:
        pytest.fail("it still listens")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_serve_at_once_even_while_a_reply_stalls(number: int, code: int) -> None:
    running = start_sandbox(contacts=1)
    running.faults([{"stallSeconds": 60}])
    waiting = socket.create_connection(("127.0.0.1", int(running.url.rsplit(":", 1)[1])))
    waiting.sendall(b"GET /crm/v3/owners HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    started = time.monotonic()
    running.process.send_signal(number)
    assert running.process.wait(10) == code
    assert time.monotonic() - started < 3
    waiting.close()
    running.stop()


REFUSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("serve", "--host", "0.0.0.0"), "--allow-remote"),
    (("serve", "--host", "nowhere"), "IP address"),
    (("serve", "--api-quirk", "x=y"), "no quirk 'x'"),
    (("serve", "--api-quirk", "x"), "NAME=VALUE"),
    (("serve", "--contacts", "-1"), "The number of contacts cannot be negative"),
    (("serve", "--faults", "missing.yaml"), "missing.yaml"),
    (("serve", "--without-scope", "x"), "no scope 'x'"),
    (("mutate", "--url", "http://127.0.0.1:9", "archive", "contacts", "51"), "No sandbox answers"),
    (("mutate", "--url", "http://127.0.0.1:9", "paint", "contacts"), "no mutation 'paint'"),
    (("mutate", "--url", "http://127.0.0.1:9", "archive", "contacts"), "id is missing"),
    (("mutate", "--url", "http://127.0.0.1:9", "edit", "contacts", "51", "x"), "NAME=VALUE"),
    (("mutate", "--url", "http://127.0.0.1:9", "--script", "missing.json"), "missing.json"),
)


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=lambda v: " ".join(v)[:50] if isinstance(v, tuple) else "")
def test_a_command_that_fails_reports_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = run(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr


def test_serve_prints_its_url_and_token_first() -> None:
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--contacts", "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    assert " at http://127.0.0.1:" in lines[0]
    assert lines[1] == "Token: pat-sandbox-not-a-secret\n"


def test_mutate_takes_arguments_scripts_and_a_random_number(sandbox: RunningSandbox, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"kind": "archive", "type": "contacts", "id": "51"}]))
    url = ("mutate", "--url", sandbox.url)
    assert run(*url, "--script", str(script)).stdout.startswith("archive: 1 (type contacts, id 51")
    assert run(*url, "bulk-touch", "deals", "20").stdout.startswith("bulk-touch: 1 (type deals, touched 20")
    lines = run(*url, "--random", "80", "--seed", "4").stdout.splitlines()
    assert sum(int(line.split(": ")[1].split()[0]) for line in lines) == 80
    run(*url, "archive", "contacts", "51")  # a random change may have restored it
    repeated = run(*url, "archive", "contacts", "51")
    assert "has no live record '51'" in repeated.stderr


@pytest.fixture
def behind_proxy(tmp_path: Path) -> Iterator[RunningSandbox]:
    running = start_sandbox(contacts=250, proxy_port=0, ca_file=tmp_path / "ca.pem")
    yield running
    running.stop()


def test_behind_the_proxy_the_sandbox_is_api_hubapi_com(behind_proxy: RunningSandbox) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": str(behind_proxy.proxy)}
        session.verify = str(behind_proxy.ca_file)
        session.headers["Authorization"] = f"Bearer {behind_proxy.token}"
        ids: list[Any] = []
        link = "https://api.hubapi.com/crm/v3/objects/contacts?limit=100"
        while link:
            page = session.get(link, timeout=20).json()
            ids += [row["id"] for row in page["results"]]
            link = page.get("paging", {}).get("next", {}).get("link", "")
            assert link.startswith("https://api.hubapi.com/") or not link
        assert len(set(ids)) == 250
        with pytest.raises(requests.exceptions.ProxyError):
            session.get("https://example.com/", timeout=20)
        session.verify = True
        with pytest.raises(requests.exceptions.SSLError):
            session.get("https://api.hubapi.com/crm/v3/owners", headers={"Connection": "close"}, timeout=20)
    assert behind_proxy.log()["total"] == 3
