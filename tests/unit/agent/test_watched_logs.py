"""Every log has a living watcher, or a new one takes its place."""

from collections.abc import Callable
from threading import Event

from k8s_audit_otlp.agent.watched_logs import WatchedLogs
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.watch import Watcher
from tests.kit.agent import Fixture


class OnceBroken(WatchedLogs):
    """Its first watcher has a clock that ends its thread."""

    broken = True

    @property
    def all_alive(self) -> bool:
        return all(watcher.is_alive() for watcher in self._watchers)

    def _watcher(self, log: AuditLog) -> Watcher:
        if not self.broken:
            return super()._watcher(log)
        self.broken = False
        return Watcher(
            log, monotonic=_ends(), on_failure=lambda name, _: self._on_failure(name, "")
        )


def _ends() -> Callable[[], float]:
    """Make a clock that goes while the watcher is made, and not in its thread."""
    times = iter([0.0])

    def read() -> float:
        for now in times:
            return now
        raise SystemExit

    return read


def test_a_watcher_that_has_died_is_replaced_and_the_log_followed_on(
    fixture: Fixture, wait_for: Callable[..., None]
) -> None:
    """One thread ends in a way that nobody foresaw; it is said, and rotations are seen again."""
    said: list[str] = []

    def say(name: str, _why: str) -> None:
        said.append(name)

    watched = OnceBroken(fixture.config(), once=False, on_failure=say)
    (log,) = watched.open("k8s_audit", {}, {})
    watched.start()
    try:
        wait_for(lambda: not watched.all_alive)
        assert said == [f"watch {log.key}"]
        watched.restart_dead()
        fixture.write(1)
        wait_for(lambda: len(log.segments()) == 1)
        fixture.rotate("audit-2026-01-02T03-04-05.000.log")
        fixture.write(1)
        wait_for(lambda: len(log.segments()) == 2)
        assert watched.all_alive
    finally:
        watched.stop()
        log.close()


class DeadMount(WatchedLogs):
    """What its globs look at gives no answer until it is back."""

    asked = 0
    back = Event()

    def _find(self) -> None:
        self.asked += 1
        self.back.wait()
        super()._find()


def test_a_glob_over_a_dead_mount_holds_up_nobody(
    fixture: Fixture, wait_for: Callable[..., None]
) -> None:
    """It is asked once, while the others are looked after; a log that comes is found later."""
    new = fixture.log.with_name("new.log")
    fixture.log = fixture.log.with_name("*.log")
    watched = DeadMount(fixture.config(), once=False, on_failure=print)
    assert watched.open("k8s_audit", {}, {}) == []
    for _ in range(3):
        watched.look()
    new.touch()
    assert watched.asked == 1
    watched.back.set()

    def found() -> bool:
        watched.look()
        return watched.appeared == {new}

    wait_for(found)
