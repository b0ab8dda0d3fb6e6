"""From input lines to Arrow columns: reading ahead, grouping, converting."""
