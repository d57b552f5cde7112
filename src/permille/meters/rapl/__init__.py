"""Energy counters of the processor and memory, through Linux powercap."""
