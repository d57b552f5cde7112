"""Tasks: what one inference is. One module a task, each a plug-in (``permille.tasks``), of the
shape :class:`permille.workload.protocols.Task`."""

from permille.workload.protocols import Kind as Kind
from permille.workload.protocols import Task as Task
