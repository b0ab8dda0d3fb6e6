"""The streams: objects, associations, references, history."""
