"""Analysis: pure functions from trials to tables."""
