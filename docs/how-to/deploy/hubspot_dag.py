"""A DAG for each schedule of the Meltano project; put this file into the DAG folder of Airflow 3.

HUBSPOT_PROJECT is the project's folder. In it, `meltano schedule list --format=json > schedules.json` writes the file
that this module reads. `airflow pools set hubspot 1 "one run at a time"` creates the pool.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = Path(os.environ.get("HUBSPOT_PROJECT", "/srv/hubspot"))

for schedule in json.loads((PROJECT / "schedules.json").read_text())["schedules"]["job"]:
    with DAG(
        f"hubspot-{schedule['name']}",
        schedule=schedule["cron_interval"],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
    ) as dag:
        BashOperator(
            task_id="run",
            bash_command=f".venv/bin/uv run meltano --environment=prod schedule run {schedule['name']}",
            cwd=str(PROJECT),
            pool="hubspot",
            retries=2,
            retry_delay=timedelta(minutes=6),
        )
    globals()[dag.dag_id] = dag
