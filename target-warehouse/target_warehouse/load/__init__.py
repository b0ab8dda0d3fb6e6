"""From decoded batches to writes: the last row per key, rejected records, the history of loads."""
