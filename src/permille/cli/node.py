"""A node of ``permille run --engine``: ``python -m permille.cli.node KEY [GPU] -- WORDS``.

WORDS are those of the run's command line. With GPU (an index or a UUID), the node is this GPU
alone, and not the whole machine. Orders come on standard input, messages go to standard output.

Not a command for people: an engine starts it on every machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import BinaryIO, NoReturn

from permille.cli import make_parser
from permille.errors import PermilleError
from permille.escaping import plain


def main() -> NoReturn:
    """Serve one run."""
    start = sys.argv.index("--")
    (key, *gpu), words = sys.argv[1:start], sys.argv[start + 1 :]
    # Messages alone go to the real standard output, whatever a library prints.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    code = 0
    try:
        _serve(key, gpu[0] if gpu else None, words, out)
    except PermilleError as error:
        # The run is told the last line that a node has printed (study/engines/node_process.py).
        print(plain(f"permille: {error}"), file=sys.stderr, flush=True)
        code = error.exit_code
    except KeyboardInterrupt:
        print("permille: the run ended before this node's work did", file=sys.stderr, flush=True)
        code = 130
    sys.exit(code)


def _serve(key: str, identifier: str | None, words: list[str], out: BinaryIO) -> None:
    from permille.assets import cache_folder
    from permille.cli.commands import run
    from permille.cli.engines import as_run, run_options
    from permille.cli.permissions import check_pickles
    from permille.cli.planning import planned
    from permille.meters.one_gpu import find_gpu
    from permille.study.engines.node import node_store, serve

    args = make_parser("run", run).parse(words, argparse.Namespace(command=[], words=words))
    gpu = None
    if identifier is not None:
        gpu = find_gpu(identifier)
        # CUDA counts GPUs in another order than NVML; both know their UUIDs.
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid
    plan = as_run(planned(args, fetch=True), args)
    # The study's commands were permitted where the run was started; its plan is compared with
    # this one before anything is ordered.
    check_pickles(plan, allowed=args.allow_pickle)
    store = node_store(cache_folder(), key, gpu)
    serve(plan, run_options(args), store, sys.stdin.buffer, out, gpu)


if __name__ == "__main__":
    main()
