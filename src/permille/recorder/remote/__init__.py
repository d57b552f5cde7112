"""The recorder of another machine, through the agent that serves it there."""
