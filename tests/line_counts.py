"""For SlipCover, which counts the lines that `make test` runs: leave its probes where they are.

To take them out again, it asks for all threads' frames. In Python before 3.11.9 and 3.12.3, a
garbage collection that falls there waits forever for a thread that starts
(https://github.com/python/cpython/issues/106883), and so did one of our tests. The probes that stay
cost a few hundredths of the tests' time. The option `--threshold` does not reach pytest-xdist's
workers.
"""

from __future__ import annotations

from functools import partialmethod

from slipcover import Slipcover

NEVER = 1_000_000_000
"""Times that a line is run before its probe is taken out."""

Slipcover.__init__ = partialmethod(Slipcover.__init__, d_miss_threshold=NEVER)
