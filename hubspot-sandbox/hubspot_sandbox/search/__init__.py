"""The search index and its filters."""
