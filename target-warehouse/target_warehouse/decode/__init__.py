"""From lines of input to Arrow columns: cutting, grouping, converting."""
