"""MLPerf power logs: LoadGen's log of a run, and the log of the certified meter beside it."""
