"""Singer target for DuckDB and PostgreSQL.

Records, and what an import makes, are many objects that stay and no cycles: looking for garbage after every 700 of them
took a fifth of the time of decoding, and as much of starting.
"""

import gc

gc.set_threshold(1_000_000)
