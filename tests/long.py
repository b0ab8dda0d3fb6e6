"""Whether the tests run in their long form: WAREHOUSE_TEST_LONG=1."""

import os

LONG = bool(os.environ.get("WAREHOUSE_TEST_LONG"))
