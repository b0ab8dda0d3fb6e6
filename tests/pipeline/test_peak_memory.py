"""What the histories say of memory is the program's own: Meltano, which starts it, may have had more."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAT = "import os, sys; text = b'1' * (400 << 20); os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"


@pytest.mark.parametrize("module", ["tap_hubspot_dw.run", "target_warehouse.history"])
def test_the_memory_of_what_a_program_was_before_is_not_counted(module):
    program = f"from {module} import peak_memory_mb; print(peak_memory_mb())"
    said = subprocess.run([sys.executable, "-c", FAT, program], capture_output=True, text=True, check=True).stdout
    assert 10 < float(said) < 300
