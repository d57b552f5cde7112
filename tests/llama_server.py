"""A real llama.cpp server in a process of its own: ``python -m tests.llama_server MODEL PORT``."""

from __future__ import annotations

import sys
import threading

import xllamacpp


def main(model: str, port: int, *flags: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 2048
    params.n_parallel = 4
    # Threads that wait for one another by spinning crawl where other tests want the cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port = port
    params.hostnames = ["127.0.0.1"]
    params.verbosity = -1
    params.endpoint_metrics = "--metrics" in flags
    params.embedding = "--embedding" in flags
    params.pooling_type = (
        xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        if params.embedding
        else params.pooling_type
    )
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
