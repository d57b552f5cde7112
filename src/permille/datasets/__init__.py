"""Datasets: where samples come from. Rows are hostile input: validated, bounded, escaped."""
