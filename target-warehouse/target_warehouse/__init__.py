"""Singer target for DuckDB and PostgreSQL.

Records and imported modules are many long-lived objects without reference cycles. With Python's default threshold of
700 objects, garbage collection took a fifth of the time of decoding, and a fifth of the time of starting.
"""

import gc

gc.set_threshold(1_000_000)
