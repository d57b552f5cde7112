"""The recorder: one separate process per machine that records the meters' readings."""
