"""The RL libraries: one record each of a library's names for files, numbers and scalars, and of its simulators.

All other code asks the record. Nothing here imports torch, an RL library or the rest of
Gaitway: functions, runner, simulators and command line all read it. CONTRIBUTING.md says how to add a library.
"""

from gaitway.libraries.record import Counts, LibraryRecord, ProgressLines, ScalarTags
from gaitway.libraries.registry import LIBRARIES, RlLibrary, record_of

__all__ = ["LIBRARIES", "Counts", "LibraryRecord", "ProgressLines", "RlLibrary", "ScalarTags", "record_of"]
