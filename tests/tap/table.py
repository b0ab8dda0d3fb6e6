"""The table of contacts that a target would have after each run."""

from __future__ import annotations

from tests.tap.running import TapRun, run_tap

LONG_AGO = "2026-01-01T00:00:00.000Z"  # when the last full pass was, so that one is due


class Table:
    """The contacts in a target with delete records and versions."""

    def __init__(self, settings, folder) -> None:
        self.settings, self.folder, self.state = settings, folder, {}
        self.rows: dict[str, dict[str, object]] = {}

    def run(self, *, code: int = 0, **state_changes: object) -> TapRun:
        """Run the tap from the kept state, with changes to it, load its output, and check its exit code."""
        for saved in self.state.get("bookmarks", {}).values():
            saved.update(state_changes)
        run = run_tap(self.folder, self.settings, state=self.state)
        assert run.returncode == code, run.log
        self.state = run.state or self.state
        for message in run.messages:
            if message.get("stream") != "contacts":
                continue
            if message["type"] == "RECORD":
                record = message["record"]
                old = self.rows.get(record["id"], {}) if record.get("_sdc_deleted_at") else {}
                self.rows[record["id"]] = old | record | {"version": message["version"]}
            elif message["type"] == "ACTIVATE_VERSION":
                for row in self.rows.values():
                    if row["version"] < message["version"]:
                        row["_sdc_deleted_at"] = row.get("_sdc_deleted_at") or "activated"
        return run

    def live(self) -> set[str]:
        """Return the ids of the rows that are not marked as deleted."""
        return {each for each, row in self.rows.items() if not row.get("_sdc_deleted_at")}
