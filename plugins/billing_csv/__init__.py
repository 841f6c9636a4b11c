"""The shipped plugin that bills into CSV files."""
