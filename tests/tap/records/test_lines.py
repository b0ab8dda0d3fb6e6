"""The fast path, and the path through the SDK that stream maps need, write the same bytes."""

from __future__ import annotations

import re

import pytest

from tests.tap.running import discover, run_tap

ODD = {"contacts": 700, "appointments": 90, "divisions": 5, "deals": 150, "associations": 500}
ODD |= {"contact_properties": 120, "tier": "unlimited"}
STREAMS = ["contacts", "appointments", "divisions", "deals", "associations"]
STREAMS += ["owners", "pipelines", "pipeline_stages", "properties"]
THROUGH_THE_SDK = {"stream_maps": {stream: {"__filter__": "True"} for stream in STREAMS}}
ODDITIES = {
    "firstname": 'Quote " back\\slash \u0000 \u2028 \U0001f600',
    "lastname": "x" * 60_000,
    "email": "",
}
_RUNS_OWN = re.compile(rb'"(?:version":\d+|time_extracted":"[^"]+")')


def lines(folder, settings, state, catalog):
    """Return the RECORD lines of a run, sorted, without the fields that differ from run to run."""
    run = run_tap(folder, settings, state=state, catalog=catalog)
    assert run.returncode == 0, run.log
    records = [line for line in run.output.encode().split(b"\n") if line.startswith(b'{"type":"RECORD"')]
    own = [line for line in records if b'"stream":"sync_history"' not in line]
    assert all(len(_RUNS_OWN.findall(line)) == 2 for line in own)
    return sorted(_RUNS_OWN.sub(b"", line) for line in own), run.state


@pytest.mark.sandbox(**ODD)
@pytest.mark.parametrize("deselected", [[], ["url", "email", "hs_lastmodifieddate"]])
def test_both_paths_write_the_same_bytes(sandbox, tmp_path, deselected):
    settings = {"api_url": sandbox.url, "access_token": sandbox.token}
    ids = [each["id"] for each in sandbox.truth("0-1")]
    sandbox.mutate([{"kind": "edit", "type": "0-1", "id": ids[3], "properties": ODDITIES}])
    catalog = discover(tmp_path, settings)
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if each["breadcrumb"] and each["breadcrumb"][-1] in deselected:
                each["metadata"]["selected"] = False
    fast, fast_state = lines(tmp_path, settings, {}, catalog)
    slow, slow_state = lines(tmp_path, settings | THROUGH_THE_SDK, {}, catalog)
    assert len(fast) > 1_500
    assert fast == slow
    sandbox.mutate(
        [
            {"kind": "archive", "type": "0-1", "id": ids[5]},
            {"kind": "merge", "type": "0-1", "winner": ids[6], "loser": ids[7]},
            {"kind": "bulk-touch", "type": "0-3", "count": 50},
        ]
    )
    fast, _ = lines(tmp_path, settings, fast_state, catalog)
    slow, _ = lines(tmp_path, settings | THROUGH_THE_SDK, slow_state, catalog)
    assert sum(b'"_sdc_deleted_at":"' in line for line in fast) >= 2
    assert fast == slow
