"""Join the portal's form for problems with the ledger, which the publisher does not know."""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.admin.context import AdminContext
from harvesters.errors import HarvestError
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.participation import problems
from harvesters.runs.reported_problems import FiledProblem, file_problem, problem_target
from harvesters.source import Notify
from publisher.errors import StoreBusy
from publisher.portal.problems import PublicProblem
from vocab.iris import Iris


@dataclass(frozen=True, slots=True)
class LedgerProblems:
    """Problems in the ledger of *admin*; implements ``publisher.portal.problems.ProblemStore``."""

    admin: AdminContext

    def file(
        self, source: str, key: str, category: str, text: str, address: str, language: str
    ) -> int | None:
        """Store a problem; return its number, None if there is no such record or source. Raises
        StoreBusy.
        """
        definition = next((item for item in self.admin.sources() if item.name == source), None)
        if source and not key and definition is None:
            return None
        notify = definition.notify if definition else Notify()
        filed = FiledProblem(category, text, address, language)
        try:
            return file_problem(
                self.admin.reader(), source, key, filed, notify, self.admin.channels.name
            )
        except HarvestError as error:
            raise StoreBusy(f"The problem was not stored: {error}") from error

    def find(self, number: int) -> PublicProblem | None:
        """Return what is public of a problem, None if there is none, as before the first harvest.
        Raises StoreBusy.
        """
        if not has_ledger(self.admin.url):
            return None
        try:
            problem = problems.reported_problem(self.admin.ledger, number)
        except HarvestError as error:
            raise StoreBusy("The problems cannot be read now; try again in a minute") from error
        if problem is None:
            return None
        created, changed = (
            f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (problem.created, problem.changed)
        )
        record = problem_target(problem, Iris(self.admin.base))
        return PublicProblem(
            problem.id,
            record,
            problem.category,
            problem.state.value,
            created,
            changed,
            problem.run or "",
        )
