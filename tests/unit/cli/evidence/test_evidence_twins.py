"""Logs of two nodes begin with one line that is no event: one uid names two events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.judged import UID, Row, Rows, is_event, is_receipt, judged, segment, with_key

LINE = b"what a shell wrote\n"
IDENTITY, NODE = "k8s.audit.segment.identity", "service.instance.id"


class Nodes:
    """Two nodes, what a back end has of them, and the identity that both logs have."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self.folder, self.agents, self.words = folder, list[Fixture](), list[str]()
        for n in (1, 2):
            (folder / f"{n}").mkdir()
            made = Fixture(folder / f"{n}", backend, seed=n)
            made.receiver = f"resource: {{k8s.cluster.name: prod, k8s.node.name: cp-{n}}}"
            self.words += ["--key", str(with_key(made))]
            made.log.write_bytes(LINE)
            segment(made, 0, 10 + n)
            self.agents.append(made)
        self.rows = exported(backend)
        identities = [str(row[IDENTITY]) for row in self.rows if is_receipt(row)]
        assert len(identities) == 2
        (self.identity,) = set(identities)

    def events(self, node: str) -> Rows:
        mine = [r for r in self.rows if is_event(r) and r[NODE] == node]
        return [row for row in mine if str(row[UID]).startswith(self.identity)]

    def judged(self, rows: Rows, *more: str) -> tuple[int, str]:
        result = judged(self.folder, rows, *self.words, *more)
        return result.exit_code, result.output


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with Backend() as backend:
        yield Nodes(tmp_path_factory.mktemp("nodes"), backend)


def test_untouched_they_are_no_alarm(nodes: Nodes) -> None:
    """Nor are the files of both, which have a receipt each."""
    for made in nodes.agents:
        code, said = nodes.judged(nodes.rows, "--raw", str(made.log.parent))
        assert code == 0, said
        assert "byte for byte what was read: 1 file" in said
    assert nodes.judged([*reversed(nodes.rows), *nodes.rows])[0] == 0


@pytest.mark.parametrize("node", ["cp-1", "cp-2"])
def test_what_was_done_to_one_of_them_is_named(nodes: Nodes, node: str) -> None:
    event = nodes.events(node)[4]
    others = [row for row in nodes.rows if row is not event]
    code, said = nodes.judged(others)
    assert (code, f"{event[UID]} is missing" in said) == (5, True), said
    code, said = nodes.judged([*others, {**event, "body": event["body"] + " "}])
    assert (code, f"{event[UID]} was changed" in said) == (6, True), said
    code, said = nodes.judged([*nodes.rows, {**event, UID: f"{nodes.identity}-1"}])
    assert (code, f"{nodes.identity}-1 was put in" in said) == (6, True), said


def is_of(row: Row, node: str) -> bool:
    return bool(row[NODE] == node)


@pytest.mark.parametrize("node", ["cp-1", "cp-2"])
def test_one_that_waits_for_its_receipt_is_not_called_forged(nodes: Nodes, node: str) -> None:
    """Nothing proves its records yet; those of the other node are proven."""
    kept = [row for row in nodes.rows if is_event(row) or not is_of(row, node)]
    code, said = nodes.judged(kept)
    assert code == 7, said
    assert f"{len(nodes.events(node))} records of another node under no receipt" in said
    gone = nodes.events("cp-2" if node == "cp-1" else "cp-1")[3]
    code, said = nodes.judged([row for row in kept if row is not gone])
    assert (code, f"{gone[UID]} is missing" in said) == (5, True), said


def test_a_file_that_was_cut_to_the_size_of_another_nodes_is_found(nodes: Nodes) -> None:
    made = max(nodes.agents, key=lambda each: next(each.log.parent.glob("audit-*")).stat().st_size)
    (file,) = made.log.parent.glob("audit-*")
    folder = nodes.folder / "cut"
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes()[:-40])
    code, said = nodes.judged(nodes.rows, "--raw", str(folder))
    assert (code, "40 bytes are gone" in said) == (6, True), said
