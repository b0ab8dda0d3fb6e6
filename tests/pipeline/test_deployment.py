"""The files in docs/how-to/deploy run the schedules of meltano.yml at their times."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipeline.project import ROOT, Project

DEPLOY = ROOT / "docs" / "how-to" / "deploy"
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())
BY_CLOCK = {
    schedule["name"]: schedule["interval"]
    for schedule in PROJECT["schedules"]
    if not schedule["interval"].startswith("@manual")
}
CRON_LINE = re.compile(r"((?:\S+ ){5}) *cd .* meltano schedule run (\S+) >>")

AIRFLOW = {  # only what a DAG file needs to be loaded
    "airflow/sdk.py": """
made = {}
class DAG:
    def __init__(self, dag_id, *, schedule, start_date, catchup, max_active_runs):
        self.dag_id, self.schedule = dag_id, schedule
        made[dag_id] = self
    def __enter__(self): DAG.current = self; return self
    def __exit__(self, *_): pass
""",
    "airflow/providers/standard/operators/bash.py": """
from airflow.sdk import DAG
class BashOperator:
    def __init__(self, *, task_id, bash_command, cwd, pool, retries, retry_delay):
        DAG.current.command = bash_command
""",
}


def test_the_crontab_has_every_schedule_with_a_time():
    lines = CRON_LINE.findall((DEPLOY / "crontab").read_text())
    assert {name: time.strip() for time, name in lines} == BY_CLOCK


def test_every_cron_accepts_the_times():
    """Debian's cron refuses a file with `7/15`, a step without a range."""
    fields = [field for interval in BY_CLOCK.values() for field in interval.split()]
    assert [field for field in fields if re.fullmatch(r"\d+/\d+", field)] == []


@pytest.mark.skipif(
    not Path("/etc/debian_version").exists() or shutil.which("crontab") is None, reason="no Debian cron"
)
def test_cron_accepts_the_crontab():
    verified = subprocess.run(["crontab", "-n", DEPLOY / "crontab"], capture_output=True, text=True, check=False)
    assert "errors in crontab file" not in verified.stderr, verified.stderr


def test_the_cron_job_has_the_time_of_its_schedule():
    job = yaml.safe_load((DEPLOY / "cronjob.yaml").read_text())
    command = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-3:-1] == ["schedule", "run"]
    assert job["spec"]["schedule"] == BY_CLOCK[command[-1]]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_every_schedule_with_a_time_has_a_timer():
    assert {file.stem.removeprefix("hubspot@") for file in DEPLOY.glob("*.timer")} == set(BY_CLOCK)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path):
    units = [shutil.copy(file, tmp_path) for file in DEPLOY.glob("*.timer")]
    units += [shutil.copy(DEPLOY / "hubspot@.service", tmp_path / f"hubspot@{name}.service") for name in BY_CLOCK]
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.slow
def test_the_dag_file_makes_a_dag_of_every_schedule_that_meltano_lists(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "schedules.json").write_text(project.meltano("schedule", "list", "--format=json").stdout)
    for name, text in AIRFLOW.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    printing = "; print({name: (dag.schedule, dag.command) for name, dag in airflow.sdk.made.items()})"
    program = f"import runpy, airflow.sdk; runpy.run_path({str(DEPLOY / 'hubspot_dag.py')!r}){printing}"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "HUBSPOT_PROJECT": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout
    command = ".venv/bin/uv run meltano --environment=prod schedule run {}"
    every = {schedule["name"]: BY_CLOCK.get(schedule["name"]) for schedule in PROJECT["schedules"]}
    assert made.strip() == str({f"hubspot-{name}": (time, command.format(name)) for name, time in every.items()})
