"""A plan turned into trials: one fresh worker process each, supervised and recorded."""
