"""The benchmark: `make bench`. Ratios taken in one run on the machine at hand; timings live here, never in tests."""
