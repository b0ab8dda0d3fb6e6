"""The tap on the Singer SDK: command line, streams, messages."""
