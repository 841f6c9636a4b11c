"""The clock, identifiers and addresses of the machine."""
