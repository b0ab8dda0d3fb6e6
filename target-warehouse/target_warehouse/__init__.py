"""Singer target for DuckDB and PostgreSQL."""
