"""Turn a study file into a plan: resolve models and datasets, build the cells, check everything."""
