"""One running sandbox and the journal of its mutations."""
