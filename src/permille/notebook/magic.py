"""``%%energy``: the energy of a notebook's cell. ``%load_ext permille`` registers it."""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Callable
from typing import Any, NoReturn

from permille.analysis.spans import Result
from permille.api.session import Session, record
from permille.errors import PermilleError, UsageError
from permille.records.energy import BOUNDARIES


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%%energy: {message}; see: %%energy?")


def register(shell: Any) -> None:
    """Give the cell magic to an ``InteractiveShell`` of IPython."""

    def energy(line: str, cell: str) -> Any:
        from IPython.core.error import UsageError as ShownInOneLine

        try:
            return run_cell(shell, line, cell)
        except PermilleError as error:
            # IPython shows this exception as one line, and any other with a traceback.
            raise ShownInOneLine(str(error)) from error

    energy.__doc__ = run_cell.__doc__
    shell.register_magic_function(energy, magic_kind="cell", magic_name="energy")


def run_cell(shell: Any, line: str, cell: str) -> Any:
    """Measure the energy of a cell and show it above the cell's own value.

    ::

        %%energy [-n N] [-r N] [--idle S] [--boundary B] [--pue P] [-o NAME]
                 [--require measured] [--shared]

    -n N, --inferences N: how many inferences the cell makes, for the energy of 1,000.
    -r N, --repeats N: run the cell N times; the interval then includes their spread.
    -o NAME, --output NAME: keep the result in this variable.

    The other options are those of ``permille.record``. A cell with ``await`` at its top level is
    refused.
    """
    args = _parser().parse_args(line.split())
    if args.repeats < 1:
        raise UsageError("%%energy: -r must be a whole number from 1 up")
    if args.output is not None and not args.output.isidentifier():
        raise UsageError(f"%%energy: -o {args.output!r} is not the name of a variable")
    execute = _compiled(shell, cell)
    session = record(
        idle=args.idle,
        boundary=args.boundary,
        pue=args.pue,
        require=args.require,
        shared=args.shared,
    )
    try:
        with session:
            for _ in range(args.repeats):
                with session.span("cell", inferences=args.inferences):
                    value = execute()
    finally:
        # Also if the cell raises: its energy up to that point is known, and the result says why it
        # is not valid.
        _show(session, shell, args.output)
    return value


def _parser() -> _Options:
    parser = _Options(prog="%%energy", add_help=False, allow_abbrev=False)
    parser.add_argument("-n", "--inferences", type=int)
    parser.add_argument("-r", "--repeats", type=int, default=1)
    parser.add_argument("-o", "--output")
    parser.add_argument("--idle", type=float, default=0.0)
    parser.add_argument("--boundary", choices=BOUNDARIES, default="compute")
    parser.add_argument("--pue", type=float, default=1.0)
    parser.add_argument("--require", choices=["measured"])
    parser.add_argument("--shared", action="store_true")
    return parser


def _compiled(shell: Any, cell: str) -> Callable[[], Any]:
    """The cell as a function that runs it in the notebook and returns the value of its last
    expression. Compiled before the measurement, and not with ``shell.run_cell``, which would print
    an exception without passing it on."""
    source = shell.transform_cell(cell)
    tree = shell.transform_ast(shell.compile.ast_parse(source))
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    # Under this name IPython finds the lines for a traceback.
    name = shell.compile.cache(source, shell.execution_count, raw_code=cell)
    # Without it, a cell with await would be a SyntaxError, which says nothing of what to do.
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    statements = compile(tree, name, "exec", flags)
    expression = None if last is None else compile(last, name, "eval", flags)
    for code in (statements, expression):
        if code is not None and code.co_flags & inspect.CO_COROUTINE:
            raise UsageError(
                "%%energy cannot run a cell with await: write async with permille.record() as rec:"
                " in it"
            )

    def execute() -> Any:
        exec(statements, shell.user_ns)
        if expression is None:
            return None
        return eval(expression, shell.user_ns)  # noqa: S307 - the user's own cell

    return execute


def _show(session: Session, shell: Any, name: str | None) -> None:
    """Display the result, and keep it in a variable."""
    from IPython.display import display

    # The recorder did not start, or the first span did not begin.
    if not session.ended or "cell" not in session.results:
        return
    result: Result = session["cell"]
    if name is not None:
        shell.user_ns[name] = result
    display(result)
