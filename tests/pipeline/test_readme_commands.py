"""Commands of the README that no other test runs, word for word; only the sandbox's port differs."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.pipeline.project import BIN, ROOT


@pytest.mark.sandbox(contacts=5, appointments=0, divisions=1, deals=0, associations=0, tier="unlimited")
@pytest.mark.parametrize("page", ["README.md", "docs/how-to/read-an-error.md"])
def test_the_command_shows_every_request_to_the_sandbox(sandbox, page):
    (command,) = re.findall(r"TAP_HUBSPOT_DW_LOGLEVEL=DEBUG [^`\n]*/dev/null", (ROOT / page).read_text())
    assert "http://127.0.0.1:8642 " in command
    assert f"={sandbox.token} " in command
    command = command.replace("http://127.0.0.1:8642", sandbox.url).replace(".venv/bin/uv run ", "")
    plain = {name: text for name, text in os.environ.items() if not name.startswith("TAP_HUBSPOT_DW_")}
    env = plain | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"DEBUG .*GET .*/crm/", done.stderr)
    assert sandbox.token not in done.stderr
