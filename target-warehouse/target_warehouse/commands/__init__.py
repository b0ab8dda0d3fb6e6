"""The command `warehouse`: what people ask of the tables."""
