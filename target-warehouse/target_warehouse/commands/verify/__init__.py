"""The check that the copy is true."""
