"""The DuckDB engine: one file, one process."""
