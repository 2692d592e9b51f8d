"""How much is tried: the same examples in every `make test`, and many new ones with `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings

EFFORT_VARIABLE = "GAITWAY_FUZZ_EFFORT"
"""Environment variable: how many times as many examples, drawn anew each time."""

_EFFORT = int(os.environ.get(EFFORT_VARIABLE, "1"))


def examples(count: int) -> settings:
    """Return the settings of a test, as its decorator.

    Args:
        count: Examples in `make test`.
    """
    return settings(
        max_examples=count * _EFFORT,
        derandomize=_EFFORT == 1,
        # Failures of `make fuzz` are shown with the code that repeats them, and kept for the next time.
        database=None if _EFFORT == 1 else settings().database,
        print_blob=True,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            # Fixtures hold the emulator, which is shared on purpose.
            HealthCheck.function_scoped_fixture,
        ],
    )


def deployed_examples(count: int) -> settings:
    """Return the settings of a test on the embedded AWS: it takes seconds, too long to look for a smaller example."""
    return settings(examples(count), phases=[Phase.explicit, Phase.reuse, Phase.generate])
