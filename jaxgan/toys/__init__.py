"""Games between a few points, of which everything is known."""
