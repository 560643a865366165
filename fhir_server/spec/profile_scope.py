"""What a check against profiles shares while it runs: problems so far, what it may still cost and look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.spec.checks import EnoughError, Place, Run
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.profile_nodes import Node
from fhir_server.spec.profile_values import Item

WORK_LIMIT = 50_000
WORK_PER_RESOURCE = 500
"""What each resource that claims a profile adds, so that a large Bundle of plain ones has enough."""
NESTING_LIMIT = 32


class TooCostlyError(Exception):
    """A resource and its profiles together cost more to check than anybody needs."""


@dataclass(slots=True)
class Budget:
    """What is left of the work that one resource may cost, over all profiles and trials, and what is being checked."""

    left: int = WORK_LIMIT
    active: set[tuple[int, str]] = field(default_factory=set)


@dataclass(slots=True)
class Scope:
    """One profile applied to one resource or element.

    Attributes:
        run: Where problems go.
        profile: Canonical URL that they name.
        budget: Shared by all scopes of a resource.
        root: Of the profile.
        conforms_to: Holds an element to another profile, and returns whether that is known.
        root_of: Returns the root of another profile, None where it is not known.
    """

    run: Run
    profile: str
    budget: Budget
    root: Node
    conforms_to: Callable[[str, Item, Run], bool]
    root_of: Callable[[str], Node | None]

    @property
    def definitions(self) -> Definitions:
        """Return what FHIR says."""
        return self.run.definitions

    def spend(self) -> None:
        """Account for one element.

        Raises:
            TooCostlyError: Nothing is left.
        """
        self.budget.left -= 1
        if self.budget.left < 0:
            raise TooCostlyError

    def refuse(self, place: Place, code: str, text: str) -> None:
        """Note an error."""
        self.run.add(place, code, f"{text}, says the profile {self.profile}")

    def advise(self, place: Place, code: str, text: str) -> None:
        """Note a warning, where warnings are asked for."""
        self.run.advise(place, code, f"{text}, says the profile {self.profile}")

    def holds(self, check: Callable[[Scope], Any]) -> bool:
        """Return whether a check finds nothing wrong; what it finds is forgotten."""
        trial = Run(self.run.definitions, self.run.container, self.run.resource, limit=1, codes=self.run.codes)
        trial.budget = self.budget
        try:
            check(replace(self, run=trial))
        except EnoughError:
            return False
        return not trial.problems
