"""The target as the Singer SDK runs it: messages in, STATE out."""
