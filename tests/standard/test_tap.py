"""The SDK's own tests of a tap, against a sandbox.

The SDK makes these tests when the module is imported, from the streams that it then discovers.
"""

from __future__ import annotations

import atexit

import pytest
from singer_sdk.testing import get_tap_test_class

from hubspot_sandbox.control.pytest_plugin import start_sandbox
from tap_hubspot_dw.singer.tap import TapHubSpotDW

# Columns such as `archived_at` have no value in a first run.
pytestmark = pytest.mark.filterwarnings("ignore:No records were available to test")

SANDBOX = start_sandbox(contacts=60, appointments=30, divisions=3, deals=30, associations=120, contact_properties=80)
atexit.register(SANDBOX.stop)

TestTapHubSpotDW = get_tap_test_class(
    TapHubSpotDW, config={"api_url": SANDBOX.url, "access_token": SANDBOX.token}, include_stream_attribute_tests=True
)
