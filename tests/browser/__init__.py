"""The tracker in real browsers, against the real server: what is asserted on are rows in the database."""
