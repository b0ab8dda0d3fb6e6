"""A Meltano project in its own folder: this repository's meltano.yml, run with the environment's plugins."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import yaml

from tests import forked

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STATE_ID = "dev:tap-hubspot-dw-to-target-warehouse"
_OURS = ("TAP_HUBSPOT_DW", "TARGET_WAREHOUSE", "HUBSPOT_", "WAREHOUSE_", "MELTANO_")


class Project:
    """One Meltano project; a command that fails fails the test unless another exit code is expected."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self._variables = env
        for name in ("meltano.yml", "logging.yaml"):
            shutil.copy(ROOT / name, folder / name)
        plain = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        self.env = plain | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder / "home"), "NO_COLOR": "1"} | env
        (folder / "home").mkdir()

    def twin(self, folder: Path) -> Project:
        """Return a project in another folder with a copy of this project's state and DuckDB file."""
        for name in (".meltano", "warehouse"):
            shutil.copytree(self.folder / name, folder / name)
        return Project(folder, **self._variables)

    def declare(self, kind: str, name: str, **keys: Any) -> None:
        """Add a plugin to this project's meltano.yml, or replace some keys of an existing one."""
        file = self.folder / "meltano.yml"
        content = yaml.safe_load(file.read_text())
        plugins = content["plugins"].setdefault(kind, [])
        plugin = next((plugin for plugin in plugins if plugin["name"] == name), None)
        if plugin is None:
            plugins.append(plugin := {"name": name})
        plugin.update(keys)
        file.write_text(yaml.safe_dump(content, sort_keys=False))

    def meltano(self, *arguments: str, code: int | None = 0, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a meltano command and return its result; the exit code must be `code` (None: any but 0)."""
        done = subprocess.CompletedProcess(
            arguments, *forked.run("meltano", arguments, folder=self.folder, env=self.env, timeout=timeout)
        )
        description = (
            f"meltano {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        )
        assert (done.returncode != 0) if code is None else (done.returncode == code), description
        return done

    def started(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a meltano command and return its process; its output is dropped."""
        silent = subprocess.DEVNULL
        command = [str(BIN / "meltano"), *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdin=silent, stdout=silent, stderr=silent)

    def run(self, *blocks: str, **options: Any) -> str:
        """Run blocks and return Meltano's log."""
        return self.meltano("run", *blocks, **options).stderr

    def state(self, state_id: str = STATE_ID) -> dict[str, Any]:
        """Return Meltano's bookmarks by stream, as `meltano state get` does, but faster."""
        with self._database() as database:
            (stored,) = database.execute("SELECT completed_state FROM state WHERE state_id = ?", [state_id]).fetchone()
        return json.loads(stored)["singer_state"]["bookmarks"]

    def set_state(self, bookmarks: dict[str, Any]) -> None:
        """Replace the bookmarks, as `meltano state set` does, but faster."""
        stored = json.dumps({"singer_state": {"bookmarks": bookmarks}})
        with self._database() as database:
            database.execute("UPDATE state SET completed_state = ? WHERE state_id = ?", [stored, STATE_ID])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Meltano's system database."""
        with closing(sqlite3.connect(self.folder / ".meltano" / "meltano.db")) as database, database:
            yield database

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on the DuckDB file of the environment `dev`."""
        with duckdb.connect() as connection:  # attached under another name, because `hubspot` is also a schema
            connection.execute(f"ATTACH '{self.folder / 'warehouse' / 'crm.duckdb'}' AS warehouse; USE warehouse")
            return connection.execute(sql).fetchall()
