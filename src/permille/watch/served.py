"""What a server did between two readings of its counters. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from permille.records import Record
from permille.watch.kinds import ServerKind
from permille.watch.scrape import Scrape, SeriesKey

NAMELESS = ""
"""The model of a server that does not name it."""


class ServedCounts(Record):
    """Requests that ended well, and tokens. None: the server does not count them."""

    requests: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None

    def plus(self, other: ServedCounts) -> ServedCounts:
        """The sum; what one of them lacks is unknown."""
        return ServedCounts(
            requests=_sum(self.requests, other.requests),
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
        )


class ServedWork(Record):
    """The counts of all models, of each model that the server names, and whether there was nothing
    to do (None: unknown). ``unnamed``: what it counts without naming a model, beside those.
    ``doubt``: why the number of requests may be too high (see :func:`doubt`)."""

    counts: ServedCounts
    models: dict[str, ServedCounts]
    idle: bool | None
    unnamed: ServedCounts | None = None
    doubt: str | None = None

    def by_model(self) -> dict[str, ServedCounts]:
        """All that was counted, by model, under :data:`NAMELESS` where none is named."""
        if not self.models:
            return {NAMELESS: self.counts}
        return self.models | ({} if self.unnamed is None else {NAMELESS: self.unnamed})


def restarted(before: Scrape, now: Scrape) -> str | None:
    """Why the counts between two readings are unknown, or None."""
    # Also where only one of the readings has it: another process may have answered.
    if before.started != now.started:
        return "the server was started again"
    # A series that was still at 0 loses no counts when it goes.
    missing = before.counters.keys() - now.counters.keys()
    lost = sorted(key for key in missing if before.counters[key] > 0)
    if lost:
        return f"{_name(lost[0])} is no longer counted: the server was restarted"
    # Series by series: in a sum, what one engine went on to count could hide that another began
    # anew.
    for key, value in before.counters.items():
        if now.counters.get(key, 0.0) < value:
            return f"{_name(key)} went back: the server was restarted, or its counters were reset"
    return None


def between(before: Scrape, now: Scrape) -> ServedWork:
    """What was done between two readings of one process's counters."""
    roles: dict[str, dict[str, float]] = {}
    for (role, model, labels), value in now.counters.items():
        # A series that is new began at 0: it appears with its first event.
        done = value - before.counters.get((role, model, labels), 0.0)
        of_model = roles.setdefault(model, {})
        of_model[role] = of_model.get(role, 0.0) + done
    models = {model: ServedCounts(**counts) for model, counts in roles.items()}
    total = _total(models.values())
    unnamed = models.pop(NAMELESS, None)
    return ServedWork(
        counts=total,
        models=models,
        idle=_idle(total, before, now),
        unnamed=unnamed if models else None,
    )


def doubt(kind: ServerKind, work: ServedWork) -> str | None:
    """Why the number of requests may be too high, or None."""
    asked = [name for name, counts in work.models.items() if counts.requests]
    if not kind.counts_steps or len(asked) < 2:
        return None
    return (
        f"{len(asked)} models counted requests: if one of them is an ensemble, its requests are"
        " counted for each of its models too; leave those out with except in a --mapping file"
    )


def _idle(done: ServedCounts, before: Scrape, now: Scrape) -> bool | None:
    """Nothing was counted, and no request was in work at either end. A request that was cancelled
    in between is not noticed."""
    if done.requests or done.input_tokens or done.output_tokens:
        return False
    if before.running is None or now.running is None:
        return None
    return before.running == 0 and now.running == 0


def _total(models: Iterable[ServedCounts]) -> ServedCounts:
    """The sum over models. A quantity that one model lacks is that of the others: a server
    publishes a series only from its first event on."""
    sums: dict[str, float] = {}
    for counts in models:
        for name in ("requests", "input_tokens", "output_tokens"):
            value = getattr(counts, name)
            if value is not None:
                sums[name] = sums.get(name, 0.0) + value
    return ServedCounts(**sums)


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def _name(key: SeriesKey) -> str:
    role, model, _ = key
    return role.replace("_", " ") + (f" of {model}" if model else "")
