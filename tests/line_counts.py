"""For SlipCover, which counts the lines that `make test` runs: leave its probes where they are.

To take them out again, it asks for all threads' frames. In Python 3.11, a garbage collection that
falls there may wait forever for a thread that starts
(https://github.com/python/cpython/issues/106883); a test did, with 3.11.7. The probes that stay
cost a few hundredths of the tests' time. The option `--threshold` does not reach the workers of
pytest-xdist.
"""

from __future__ import annotations

from functools import partialmethod

from slipcover import Slipcover

NEVER = 1_000_000_000
"""Times that a line is run before its probe is taken out."""

Slipcover.__init__ = partialmethod(Slipcover.__init__, d_miss_threshold=NEVER)
