"""One run of the tap: the state that its streams share, and its progress."""
