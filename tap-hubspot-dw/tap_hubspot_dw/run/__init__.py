"""One run of the tap: what its streams share, and its progress."""
