"""The estimate: CPU time times published watts, where no counter exists."""
