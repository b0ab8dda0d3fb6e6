"""The target as a Singer SDK plugin: messages in, STATE out."""
