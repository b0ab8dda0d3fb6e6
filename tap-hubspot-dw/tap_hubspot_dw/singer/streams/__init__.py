"""The streams: objects, associations, reference data, history."""
