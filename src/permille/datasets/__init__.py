"""Datasets: the sources of samples. Rows are hostile input: validated, limited, escaped."""
