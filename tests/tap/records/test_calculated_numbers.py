"""Numbers that HubSpot calculates have all digits of a double; both paths shorten them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.tap.running import run_tap

CALCULATED = {"hs_deal_stage_probability", "hs_projected_amount"}


@pytest.mark.parametrize("objects_as", ["columns", "columns in Python", "json"])
def test_calculated_numbers_of_deals_have_few_digits(portal, tmp_path, objects_as):
    settings = {"api_url": portal.url, "access_token": portal.token, "objects": ["deals"], "associations": False}
    if objects_as == "columns in Python":
        settings["stream_maps"] = {"deals": {"copy": "hs_projected_amount"}}
    run = run_tap(tmp_path, settings | {"properties_as_json": objects_as == "json"})
    assert run.returncode == 0, run.log
    truth = {each["id"]: each["properties"] for each in portal.truth("deals")}
    texts = [text for each in truth.values() for name in CALCULATED if (text := each[name])]
    assert sum(len(text) > 40 for text in texts) > 50, "the portal has none of them"
    for record in run.records("deals"):
        for name in CALCULATED:
            text = truth[record["id"]][name]
            if objects_as == "json":
                assert record["properties"][name] == text
            elif text is None:
                assert record[name] is None
            else:
                value = Decimal(str(record[name]))
                assert float(value) == float(text)
                assert -value.as_tuple().exponent <= 18
