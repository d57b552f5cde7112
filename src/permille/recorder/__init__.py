"""The recorder: a process of its own, one for a machine, that writes down what the meters read."""
