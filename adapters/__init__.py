"""One package for each outside world."""
