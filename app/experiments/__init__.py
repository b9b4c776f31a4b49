"""Which ranker is better: assignment of units to variants, interleaving, statistics and reports. See `docs/experiments.md`."""
