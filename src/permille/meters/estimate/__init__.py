"""The estimate: CPU time times published watts, for machines without a counter."""
