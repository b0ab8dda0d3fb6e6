"""A longer pass takes no more memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.tap.running import CLEAN, TAP

SIZES = {"deals": 1, "appointments": 1, "divisions": 1, "associations": 1, "contact_properties": 150}


def peak_megabytes(sandbox, folder) -> float:
    """Run a full pass over the contacts and their associations; return the tap's peak memory."""
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"]}
    (folder / "config.json").write_text(json.dumps(settings))
    command = [str(TAP), "--config", str(folder / "config.json")]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=CLEAN) as process:
        while process.stdout.read1(1 << 20):
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
    assert process.returncode == 0
    return peak / 1024


@pytest.mark.slow
def test_a_pass_five_times_as_long_takes_no_more_memory(sandbox_factory, tmp_path):
    peaks = []
    for contacts in (12_000, 60_000):
        sandbox = sandbox_factory(contacts=contacts, **SIZES, tier="unlimited")
        peaks.append(peak_megabytes(sandbox, tmp_path))
        sandbox.stop()
    assert peaks[1] <= 250
    assert peaks[1] <= 1.25 * peaks[0], peaks
