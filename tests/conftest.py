"""What all tests share: a back end, a log directory, a clock, hypothesis profiles."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.kit.backends.backend import Backend

# A shell ignores SIGINT for what it starts in the background, and so would what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None, max_examples=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


WORKERS = 5  # on two cores: half of their time goes by in waiting


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run in this process where somebody watches: --pdb, --trace, -s, or a debugger."""
    watched = config.getoption("usepdb") or config.getoption("trace")
    if not watched and config.getoption("capture") != "no" and sys.gettrace() is None:
        return WORKERS
    config.option.dist = "no"
    return 0


class ByFileOrStore(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives a worker the tests of a file, or those of one store.

    Some stores take long to start, and some answers a minute: one worker waits for each store.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        of_a_store = file.startswith("tests/interop/stores/") and test.endswith("]")
        return test.rpartition("[")[2] if of_a_store else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileOrStore | None:
    return ByFileOrStore(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Let no collection of garbage look at thousands of tests again and again."""
    gc.freeze()


class ManualClock:
    """Seconds since the epoch that pass only when told to; `sleep` lets them pass."""

    def __init__(self, now: float = 1_767_323_045.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Make an empty directory as the apiserver has: only its owner may enter."""
    directory = tmp_path / "log"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Become a user without rights, as far as files are concerned; who may enter the folder."""

    @contextmanager
    def become() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o077 == 0:
                folder.chmod(0o711)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return become
