"""Tasks: what one inference is. Each task is a module and a plug-in (``permille.tasks``) that
implements :class:`permille.workload.protocols.Task`."""

from permille.workload.protocols import Kind as Kind
from permille.workload.protocols import Task as Task
