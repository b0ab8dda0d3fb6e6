"""The portal: its records, associations and definitions."""
