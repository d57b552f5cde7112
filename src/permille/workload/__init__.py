"""What tasks, datasets and backends share: requests, outputs, samples, specs and protocols."""
