"""Any command, measured: runs of it, and the figure that they make."""
