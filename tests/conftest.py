"""Fixtures that every test may use; the order of the tests; what a failure shows."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import serverconf
from tests.support.fixtures import servers, start_dovecot

__all__ = ["servers", "start_dovecot"]

# The quick ones first: a failure shows early. The last ones are many short files, which fill all workers.
ORDER = (
    "unit", "contract", "property", "bench", "packaging", "transcripts", "process", "stress", "security",
    "mta", "clients", "compat",
)  # fmt: skip
# Files that take a minute: begun last, one of them would keep a single worker busy at the end.
LONG = ("test_doveconf.py", "test_login_same.py", "test_imap_differential.py", "test_transcripts.py")
_HERE = Path(__file__).parent
_started: dict[str, float] = {}


def _rank(item: pytest.Item) -> tuple[int, bool]:
    folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
    return ORDER.index(folder) if folder in ORDER else len(ORDER), item.path.name not in LONG


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by folder, long files first in it, and otherwise leave pytest's order."""
    items.sort(key=_rank)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember when it began."""
    _started[item.nodeid] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure shows the last lines that each server logged during the test."""
    report: Any = yield
    if report.failed:
        for name, text in serverconf.last_lines(_started.get(item.nodeid, 0.0)):
            report.sections.append((f"server log {name}", text))
    return report
