"""The tokens of those who wait for this job."""

from __future__ import annotations

from gaitway.aws.run_table import RunTable
from gaitway.contracts.run import RunTokens


class JobTokens:
    """Reads the tokens anew each time: a caller that tries again brings a new one, and so does SubmitJob's retry.

    Args:
        run_id: The run.
        execution_arn: The inner execution that started the job.
        table: The run table.
    """

    def __init__(self, run_id: str, execution_arn: str | None, table: RunTable) -> None:
        self._run_id = run_id
        self._execution_arn = execution_arn
        self._table = table

    def read(self) -> RunTokens:
        """Read the tokens; none once the run has gone to another execution, which has a job of its own."""
        return self._table.tokens_of(self._run_id, self._execution_arn)

    def are_final(self) -> bool:
        """Tell whether no other token will come for this job: its run has ended, or gone to another execution."""
        record, _ = self._table.owned(self._run_id, self._execution_arn)
        return record is None or record.state.ended
