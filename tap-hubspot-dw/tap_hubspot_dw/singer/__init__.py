"""The tap as the Singer SDK runs it."""
