"""The command `warehouse`: report, compare and verify."""
