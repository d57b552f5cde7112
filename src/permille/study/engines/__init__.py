"""What runs the blocks of a study: this machine, or the nodes of a cluster."""
