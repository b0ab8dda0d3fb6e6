"""The tap's output may be read slowly or not at all; a signal still ends the tap."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import termios
import time

import pytest

from tests.tap.running import CLEAN, TAP, VERSION

PIPE_BYTES = 65_536


@pytest.fixture(scope="module")
def wide(sandbox_factory):
    return sandbox_factory(
        contacts=3_000, deals=1, appointments=1, divisions=1, associations=1, contact_properties=200, tier="unlimited"
    )


@pytest.fixture
def start(wide, tmp_path):
    """Start the tap with unread pipes; at the end, kill processes that are still running."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(**env: str) -> subprocess.Popen[bytes]:
        settings = {"api_url": wide.url, "access_token": wide.token, "objects": ["contacts"], "associations": False}
        (tmp_path / "config.json").write_text(json.dumps(VERSION | settings))
        command = [str(TAP), "--config", str(tmp_path / "config.json")]
        with (tmp_path / "log").open("wb") as file:
            log = subprocess.PIPE if env else file
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=CLEAN | env))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def wait_until_full(pipe, at_least: int = PIPE_BYTES - 8_192) -> None:
    """Wait until a pipe is full and its contents no longer grow."""
    held, until = -1, time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.3)
        now = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), "little")
        if now == held >= at_least:
            return
        held = now
    raise AssertionError(f"only {held} bytes are in the pipe")


def messages_of(output: bytes) -> list[dict[str, object]]:
    """Return the messages in an output; the last line may be truncated."""
    *lines, _ = output.split(b"\n")
    return [json.loads(line) for line in lines]


def test_a_signal_ends_a_tap_whose_output_nobody_reads(start, tmp_path):
    process = start()
    wait_until_full(process.stdout)
    process.send_signal(signal.SIGTERM)
    signalled = time.monotonic()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - signalled < 12
    assert "nobody reads the output" in (tmp_path / "log").read_text()
    assert messages_of(process.stdout.read())[0]["type"] == "SCHEMA"


def test_a_signal_ends_a_tap_whose_log_nobody_reads(start):
    process = start(TAP_HUBSPOT_DW_LOGLEVEL="DEBUG", TAP_HUBSPOT_DW_PAGE_SIZE="1")
    output = process.stdout
    fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_NONBLOCK)
    until, held = time.monotonic() + 60, 0
    while held < PIPE_BYTES - 8_192 and time.monotonic() < until:
        time.sleep(0.1)
        output.read()
        held = int.from_bytes(fcntl.ioctl(process.stderr, termios.FIONREAD, b"\0" * 4), "little")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 128 + signal.SIGINT


def test_a_slow_reader_gets_all_of_it(start):
    """It gets the last state, the history and only complete lines, however long that takes."""
    process = start()
    wait_until_full(process.stdout)
    process.send_signal(signal.SIGTERM)
    output = b""
    while piece := process.stdout.read1(60_000):
        output += piece
        time.sleep(0.4 if len(output) < 1_000_000 else 0)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert output.endswith(b"\n")
    kinds = [each["type"] for each in messages_of(output)]
    assert kinds[-1] == "STATE"
    assert any(each.get("stream") == "sync_history" for each in messages_of(output))
