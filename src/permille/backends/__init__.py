"""Backends: how a model is run. Each backend is a module or package, and a plug-in
(``permille.backends``).

A backend knows nothing about energy, datasets or quality: it turns one request into one output. It
imports heavy libraries in ``load``, in the worker. The names that a third-party backend needs are
re-exported here; they are defined in :mod:`permille.workload`.
"""

from permille.workload.outputs import Likelihood as Likelihood
from permille.workload.outputs import Output as Output
from permille.workload.protocols import Backend as Backend
from permille.workload.protocols import Batched as Batched
from permille.workload.protocols import Executing as Executing
from permille.workload.protocols import Loaded as Loaded
from permille.workload.protocols import Served as Served
from permille.workload.protocols import Standing as Standing
from permille.workload.requests import Chat as Chat
from permille.workload.requests import Choice as Choice
from permille.workload.requests import Draw as Draw
from permille.workload.requests import Generate as Generate
from permille.workload.requests import Masked as Masked
from permille.workload.requests import Picture as Picture
from permille.workload.requests import Question as Question
from permille.workload.requests import Request as Request
from permille.workload.requests import Sound as Sound
from permille.workload.requests import Text as Text
from permille.workload.requests import Traffic as Traffic
from permille.workload.requests import Words as Words
from permille.workload.specs import Execution as Execution
from permille.workload.specs import ModelSpec as ModelSpec
from permille.workload.specs import SourceFile as SourceFile
from permille.workload.specs import StandsOn as StandsOn
