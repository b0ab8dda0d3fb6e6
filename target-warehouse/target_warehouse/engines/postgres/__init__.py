"""The PostgreSQL engine, built on MeltanoLabs' target-postgres."""
