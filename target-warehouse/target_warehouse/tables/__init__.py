"""What a table is: its columns, the names that fit the database, the statements on it, the views over it."""
