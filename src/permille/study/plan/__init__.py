"""A study file turned into a plan: models and datasets resolved, cells laid out, all checks."""
