"""How often a run's record is written."""

import threading

from gaitway.runner.reporting.record import RecordWriter, interval_seconds


class Table:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[dict[str, object]] = []
        self.changed = threading.Condition()

    def update(
        self, run_id: str, *, unless_ended: bool, of_execution: str | None, where: None, **fields: object
    ) -> bool:
        """Keep it."""
        with self.changed:
            self.written.append(fields)
            self.changed.notify_all()
        return True

    def has(self, **fields: object) -> bool:
        """Wait for a write."""
        with self.changed:
            return self.changed.wait_for(lambda: fields in self.written, 5)


def test_a_short_run_is_seen_every_second_and_a_long_one_costs_no_more_than_a_thousand_writes() -> None:
    assert interval_seconds(0) == interval_seconds(100) == 1
    elapsed, writes = 0.0, 0
    while elapsed < 8 * 3600:
        elapsed += interval_seconds(elapsed)
        writes += 1
    assert writes < 1000


def test_a_new_phase_is_written_at_once_and_what_was_noted_last_is_not_lost() -> None:
    table = Table()
    with RecordWriter("run-1", "execution", 1, table, lambda: None) as record:  # type: ignore[arg-type]
        record.note(phase="prepare")
        assert table.has(phase="prepare")
        record.note(phase="simulate")
        assert table.has(phase="simulate")
        record.note(progress=1)
    assert table.has(progress=1)
