"""What the guard must know of a path: whether it is open to all, and whether something is uploaded there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from starlette.routing import compile_path


@dataclass(frozen=True)
class Rule:
    """What may come to a path: each route is declared with such a rule.

    Attributes:
        open: it needs no token: probes, pages and descriptions, in which no answer of the model is.
        page: a link on another site's page may lead to it.
        upload: a file is sent to it; to others a body of a kilobyte at most.
    """

    open: bool = False
    page: bool = False
    upload: bool = False

    def joined(self, other: Rule) -> Rule:
        """The rule of a path for which both hold."""
        return Rule(self.open and other.open, self.page and other.page, self.upload or other.upload)

    def refusals(self) -> tuple[int, ...]:
        """The statuses with which the guard refuses a request."""
        return _REFUSALS if self.open else (*_REFUSALS, 401, 429)


_REFUSALS = (400, 403, 408, 413, 415, 431)
_CLOSED = Rule()


class Rules:
    """The rule of each path.

    Args:
        tables: path -> rule; a path is written as a route's is, `/v1/raster/{name}`. One that is in several tables, for
            its methods, needs a token if any of them says so, and may be uploaded to likewise.
    """

    def __init__(self, *tables: Mapping[str, Rule]) -> None:
        self.table: dict[str, Rule] = {}
        for path, rule in chain.from_iterable(one.items() for one in tables):
            self.table[path] = rule.joined(self.table[path]) if path in self.table else rule
        self._exact = {path: rule for path, rule in self.table.items() if "{" not in path}
        self._patterns = [(compile_path(path)[0], rule) for path, rule in self.table.items() if "{" in path]

    def of(self, path: str) -> Rule:
        """The rule of a request's path; of one that nobody has declared, the strictest."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((rule for pattern, rule in self._patterns if pattern.match(path)), _CLOSED)
