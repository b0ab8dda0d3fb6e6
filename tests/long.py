"""Whether the tests take the time for their long forms: WAREHOUSE_TEST_LONG=1."""

import os

LONG = bool(os.environ.get("WAREHOUSE_TEST_LONG"))
