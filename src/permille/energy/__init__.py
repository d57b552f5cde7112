"""Energy: pure functions from series and spans to joules with their uncertainty."""
