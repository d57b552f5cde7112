"""The study: file, plan, worker, runner. Only here do recorder and workload meet."""
