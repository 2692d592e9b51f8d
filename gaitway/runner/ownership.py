"""Whether a run still belongs to this attempt: if not, the attempt writes none of its files, and reports nothing.

Several processes may believe that they run a run's job. A submission whose reply was lost is repeated, and the run has
two jobs; a machine that is cut off from the network continues while the next attempt begins elsewhere; a run is
stopped, and restarted by another execution. The run's record decides: a run belongs to the attempt that began last, of
the job and the execution that the record names.
"""

from __future__ import annotations

from gaitway.aws.run_table import RunTable
from gaitway.contracts.run import RunRecord, RunState, RunTokens


class Ownership:
    """Reads from the record which attempt owns the run.

    Args:
        run_id: The run.
        execution_arn: The inner execution that started the job.
        table: The run table.
    """

    def __init__(self, run_id: str, execution_arn: str | None, table: RunTable) -> None:
        self._run_id = run_id
        self._execution_arn = execution_arn
        self._table = table
        self._number: int | None = None
        self._saves_only = False
        self._is_over = False

    def begin(self, number: int) -> None:
        """Set the number of this attempt, once the record has it."""
        self._number = number

    def save_only(self) -> None:
        """From now on allow writing a failed run's files, even if its record already says that it failed."""
        self._saves_only = True

    def end(self) -> None:
        """From now on allow no writing: the run's directory belongs to another attempt."""
        self._is_over = True

    def record(self) -> RunRecord | None:
        """Read the run's record; None if the run no longer belongs to this attempt."""
        return self._owned()[0]

    def tokens(self) -> RunTokens:
        """Read the task tokens that this attempt answers; none if the run now belongs to another attempt."""
        return self._owned()[1]

    def may_write(self) -> bool:
        """Return whether this attempt may write the run's files: never those of a run that succeeded."""
        record = None if self._is_over else self.record()
        if record is None or record.state is RunState.SUCCEEDED:
            return False
        return self._saves_only or not record.state.ended

    def _owned(self) -> tuple[RunRecord | None, RunTokens]:
        record, tokens = self._table.owned(self._run_id, self._execution_arn)
        if record is None or self._number not in (None, record.attempts):
            return None, RunTokens()
        return record, tokens
