"""A small portal for the tap's tests: one that tests only read, and a clean one for those that change it."""

from __future__ import annotations

import pytest

SMALL = {
    "contacts": 450,
    "appointments": 120,
    "divisions": 6,
    "deals": 230,
    "associations": 900,
    "contact_properties": 60,
    "tier": "unlimited",
}


@pytest.fixture(scope="session")
def portal(sandbox_factory):
    """A portal that tests only read."""
    return sandbox_factory(**SMALL)


@pytest.fixture(scope="session")
def changeable(sandbox_factory):
    """A portal that tests change through `clean_portal`."""
    return sandbox_factory(**SMALL)


@pytest.fixture
def clean_portal(changeable):
    """A portal that the test may change: it is clean when the test starts."""
    changeable.reset()
    return changeable


@pytest.fixture
def config(portal):
    """The tap's settings for the read-only portal."""
    return {"api_url": portal.url, "access_token": portal.token}
