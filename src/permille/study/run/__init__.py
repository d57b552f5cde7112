"""Run a plan as trials: one fresh worker process each, supervised and recorded."""
