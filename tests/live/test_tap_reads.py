"""The tap against a real portal: its catalog and a sample of its records. These tests can fail."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest

from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.settings import DEFAULT_OBJECTS
from tap_hubspot_dw.timestamps import format_timestamp, parse_timestamp
from tests.live.conftest import API_URL, TOKEN
from tests.live.survey import Survey
from tests.live.tap_run import TapRun, catalog, run_tap

SAMPLE = 20
CHOSEN = [name for name in os.environ.get("HUBSPOT_TEST_OBJECTS", "").split(",") if name]
OBJECTS = CHOSEN or DEFAULT_OBJECTS
CLOCK_TOLERANCE = timedelta(seconds=10)

pytestmark = pytest.mark.usefixtures("only_reads")


@pytest.fixture(scope="module")
def object_types(survey: Survey) -> dict[str, ObjectType]:
    """The objects to read: those of HUBSPOT_TEST_OBJECTS, or those of the tap's default that the portal has."""
    resolved = {name: survey.object_type_called(name) for name in OBJECTS}
    if CHOSEN:
        missing = [
            name
            for name, object_type in resolved.items()
            if object_type is None or not survey.page(object_type).is_good
        ]
        assert not missing, (
            f"HUBSPOT_TEST_OBJECTS names what this portal does not have or the token may not read: {missing}"
        )
    return {
        name: object_type
        for name, object_type in resolved.items()
        if object_type is not None and survey.page(object_type).is_good
    }


@pytest.fixture(scope="module")
def config(object_types: dict[str, ObjectType]) -> dict[str, Any]:
    """The tap's settings: few requests at once, no look-back, no progress lines."""
    if not object_types:
        pytest.skip(f"the portal has none of {', '.join(OBJECTS)} that the token may read")
    return {
        "api_url": API_URL,
        "access_token": TOKEN,
        "objects": list(object_types),
        "associations": False,
        "workers": 2,
        "page_size": SAMPLE,
        "progress_seconds": 0,
    }


@pytest.fixture(scope="module")
def discovered(config: dict[str, Any]) -> dict[str, Any]:
    """The catalog."""
    return catalog(config)


@pytest.fixture(scope="module")
def sample(config: dict[str, Any], survey: Survey) -> TapRun:
    """A run that stops each stream after a few records."""
    survey.client.settle()
    return run_tap(config | {"max_records": SAMPLE})


@pytest.fixture
def object_type(name: str, object_types: dict[str, ObjectType]) -> ObjectType:
    """The object type that the test is about."""
    if name not in object_types:
        pytest.skip(f"the portal has no {name} that the token may read")
    return object_types[name]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_tap_discovers_each_object_with_its_own_properties(
    name: str, object_type: ObjectType, discovered: dict[str, Any]
) -> None:
    (stream,) = [stream for stream in discovered["streams"] if stream["tap_stream_id"] == name]
    assert {"id", "updated_at", object_type.modified_property} <= set(stream["schema"]["properties"])


@pytest.mark.parametrize("name", OBJECTS)
def test_a_sample_of_each_object_fits_its_schema(
    name: str, object_type: ObjectType, sample: TapRun, survey: Survey
) -> None:
    assert min(len(survey.ids(object_type)), 1) <= sample.count(name) <= SAMPLE
    assert sample.misfits(name) == []


def test_no_stream_fails(sample: TapRun) -> None:
    assert sample.failures == {}


def test_a_sample_of_associations_fits_its_schema(
    config: dict[str, Any], object_types: dict[str, ObjectType], survey: Survey
) -> None:
    names = {object_type.type_id: name for name, object_type in object_types.items()}
    associated_pairs = [
        f"{names[edges.pair.from_type.type_id]}:{names[edges.pair.to_type.type_id]}"
        for edges in survey.edges
        if edges.results and {edges.pair.from_type.type_id, edges.pair.to_type.type_id} <= set(names)
    ]
    if not associated_pairs:
        pytest.skip("no association among the first records of these objects")
    chosen = {
        "objects": associated_pairs[0].split(":"),
        "associations": True,
        "association_pairs": associated_pairs[:1],
    }
    survey.client.settle()
    run = run_tap(config | chosen | {"max_records": SAMPLE})
    assert run.failures == {}
    assert 0 < run.count("associations") <= SAMPLE
    assert run.misfits("associations") == []


def test_each_run_moves_the_bookmark_to_its_own_start(
    config: dict[str, Any], object_types: dict[str, ObjectType], survey: Survey
) -> None:
    name = min(object_types, key=lambda candidate: len(survey.ids(object_types[candidate])))
    now = survey.client.get("owners", {}, limit="1").at
    settings = config | {
        "objects": [name],
        "lookback_minutes": 0,
        "start_date": format_timestamp(now - timedelta(minutes=10)),
    }
    survey.client.settle()
    first = run_tap(settings)
    survey.client.settle()
    again = run_tap(settings, first.state)
    assert (first.failures, again.failures) == ({}, {})
    bookmarks = [parse_timestamp(run.bookmark(name) or "1970-01-01") for run in (first, again)]
    assert now - CLOCK_TOLERANCE < bookmarks[0] < bookmarks[1]
    assert again.misfits(name) == []
