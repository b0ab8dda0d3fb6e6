"""The command line, the daemon and the pytest plugin."""
