"""Peak memory: it does not grow between half a million and a million records, and the histories report it right.

WAREHOUSE_TEST_LONG=1 also loads the million records into PostgreSQL.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.long import LONG
from tests.pipeline.project import BIN

ENGINES = ["duckdb", "postgres"] if LONG else ["duckdb"]
SIZES = {"contacts": 1_000_000, "appointments": 1, "divisions": 1, "deals": 1, "associations": 1}
FEW = ["email", "firstname", "lastname", "phone", "lifecyclestage"]
FAT = "import os, sys; text = b'1' * (400 << 20); os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"


def peak_megabytes(process: subprocess.Popen) -> float:
    """Return the peak memory of a process; 0 if it has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024 if "VmHWM:" in status else 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.sandbox(**SIZES, contact_properties=12, tier="unlimited")
@pytest.mark.parametrize("warehouse", ENGINES, indirect=True)
def test_a_million_small_records_stay_under_the_limits_of_tap_and_target(sandbox, warehouse, tmp_path):
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    (tmp_path / "tap.json").write_text(json.dumps(settings | {"include_properties": {"*": FEW}}))
    (tmp_path / "target.json").write_text(json.dumps({"warehouse": warehouse.url, "default_target_schema": "hubspot"}))
    plain = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    tap = subprocess.Popen([BIN / "tap-hubspot-dw", "--config", "tap.json"], **plain)
    target = subprocess.Popen([BIN / "target-warehouse", "--config", "target.json"], stdin=tap.stdout, **plain)
    tap.stdout.close()
    peaks: dict[str, list[float]] = {"tap": [], "target": []}
    while target.poll() is None:
        for name, process in (("tap", tap), ("target", target)):
            peaks[name] += filter(None, [peak_megabytes(process)])
        time.sleep(0.1)
    target.stdout.close()
    assert (tap.wait(), target.returncode) == (0, 0)
    (count,) = warehouse.query("SELECT count(*) AS live FROM hubspot.contacts WHERE _sdc_deleted_at IS NULL")
    assert count["live"] == SIZES["contacts"]
    assert peaks["tap"][-1] <= 250
    assert peaks["target"][-1] <= 400
    for name, values in peaks.items():
        assert values[-1] <= 1.25 * values[len(values) // 2], f"the {name}'s memory grows: {values[::20]}"


@pytest.mark.parametrize("module", ["tap_hubspot_dw.run.run", "target_warehouse.load.load_history"])
def test_the_memory_before_exec_is_not_counted(module):
    program = f"from {module} import peak_memory_mb; print(peak_memory_mb())"
    output = subprocess.run([sys.executable, "-c", FAT, program], capture_output=True, text=True, check=True).stdout
    assert 10 < float(output) < 300
