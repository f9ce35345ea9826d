"""Counts what the tests of faults tried and what came out well, and tells the sums at the end.

`python -m pytest tests/faults -m "long or not long"` ends with lines such as
`damages found: 30 of 30`.
"""

import collections

import pytest

_PROPERTY = "tally"


@pytest.fixture
def tally(request):
    """`tally(name, good, tried)` adds to the line `NAME: GOOD of TRIED`."""

    def add(name: str, good: int, tried: int) -> None:
        # With the test's report, which pytest-xdist sends to the process that prints.
        request.node.user_properties.append((_PROPERTY, (name, int(good), int(tried))))

    return add


def pytest_terminal_summary(terminalreporter):
    sums = collections.defaultdict(lambda: [0, 0])
    for reports in terminalreporter.stats.values():
        for report in reports:
            # Each of a test's three reports carries all that was counted until then.
            if getattr(report, "when", None) == "teardown":
                for key, value in report.user_properties:
                    if key == _PROPERTY:
                        name, good, tried = value
                        sums[name][0] += good
                        sums[name][1] += tried
    if sums:
        terminalreporter.section("faults")
    for name, (good, tried) in sorted(sums.items()):
        terminalreporter.line(f"{name}: {good} of {tried}")
