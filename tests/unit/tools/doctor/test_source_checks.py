"""A receiver that is no file: each check fails and passes."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.tools.doctor import topics
from k8s_audit_otlp.tools.doctor.examine import Question, examine
from k8s_audit_otlp.tools.doctor.findings import Finding, State
from tests.kit.backends.certificates import Authority


def found(folder: Path, receiver: str) -> dict[str, Finding]:
    """Return what the doctor says of the receiver, by the name of the check."""
    text = f"""
receivers: {{{receiver}}}
exporters: {{otlp_file: {{path: {folder / "out"}}}}}
service: {{state_dir: {folder / "state"}}}
"""
    config = load_text(text, "test", {}).config
    findings = examine(Question(config=config, manifest=folder / "none", wait_s=0))
    return {f.check: f for f in findings if f.check.startswith(("receiver.", "log."))}


def webhook(endpoint: str, more: str = "") -> str:
    spool = "spool: {max_bytes: 1MiB, segment_bytes: 100KiB, min_free_disk: 1B}"
    return f'k8s_audit_webhook: {{endpoint: "{endpoint}", {spool}, {more}}}'


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_webhook_that_only_this_host_reaches_is_fine(tmp_path: Path) -> None:
    """Its log is no apiserver's: nobody is told to switch auditing on before the first start."""
    said = found(tmp_path, webhook("127.0.0.1:0"))
    assert {f.state for f in said.values()} == {State.OK}
    assert not [name for name in said if name.startswith("log.")]


def test_a_webhook_that_anybody_may_write_to_fails(tmp_path: Path) -> None:
    """In the clear on every interface."""
    said = found(tmp_path, webhook("0.0.0.0:0"))
    assert said["receiver.certificates"].state is State.FAIL
    assert said["receiver.senders"].state is State.FAIL


def test_certificates_are_loaded_as_the_agent_will(tmp_path: Path) -> None:
    """The file that cannot be read is named."""
    authority = Authority(tmp_path, days=400)
    pair = authority.issue("server", days=90)
    files = f"cert_file: {pair.cert}, key_file: {pair.key}, client_ca_file: {authority.cert}"
    said = found(tmp_path, webhook("0.0.0.0:0", f"tls: {{{files}}}"))
    assert said["receiver.certificates"].state is State.OK
    assert said["receiver.senders"].state is State.OK
    authority.issue("server", days=5)
    said = found(tmp_path, webhook("0.0.0.0:0", f"tls: {{{files}}}"))
    assert said["receiver.certificates"].state is State.WARN
    assert "the certificate expires in 4 days" in said["receiver.certificates"].why
    pair.key.unlink()
    said = found(tmp_path, webhook("0.0.0.0:0", f"tls: {{{files}}}"))
    assert said["receiver.certificates"].state is State.FAIL
    assert str(pair.key) in said["receiver.certificates"].hint


def test_an_address_of_another_host_cannot_be_listened_at(tmp_path: Path, busy: int) -> None:
    """One where somebody listens may be the agent's own."""
    assert found(tmp_path, webhook("192.0.2.1:0"))["receiver.reachable"].state is State.FAIL
    said = found(tmp_path, webhook(f"127.0.0.1:{busy}"))["receiver.reachable"]
    assert said.state is State.OK
    assert "somebody listens" in said.why


def test_a_spool_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """However much room there is."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "spool").touch()
    said = found(tmp_path, webhook("127.0.0.1:0"))["receiver.spool"]
    assert said.state is State.FAIL
    assert "spool is no directory" in said.why


def test_a_spool_that_is_larger_than_the_disk_is_told(tmp_path: Path) -> None:
    """Before an outage fills it."""
    receiver = 'k8s_audit_webhook: {endpoint: "127.0.0.1:0", spool: {max_bytes: 9000GiB}}'
    assert found(tmp_path, receiver)["receiver.spool"].state is State.WARN
    receiver = 'k8s_audit_webhook: {endpoint: "127.0.0.1:0", spool: {min_free_disk: 9000GiB}}'
    assert found(tmp_path, receiver)["receiver.spool"].state is State.FAIL


def test_brokers_are_asked_for_their_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that is not there, brokers that are not there."""
    monkeypatch.setattr(topics, "TIMEOUT_S", 2.0)
    kafka = pytest.importorskip("confluent_kafka")
    host = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = host.list_topics("audit", timeout=20).brokers.values()
    address = f"{broker.host}:{broker.port}"

    def reachable(brokers: str, topic: str) -> Finding:
        receiver = f'kafka: {{brokers: ["{brokers}"], topics: ["{topic}"]}}'
        return found(tmp_path, receiver)["receiver.reachable"]

    assert reachable(address, "audit").state is State.OK
    missing = reachable(address, "other")
    assert (missing.state, "other" in missing.why) == (State.FAIL, True)
    away = reachable("127.0.0.1:1", "audit")
    assert (away.state, "127.0.0.1:1" in away.why) == (State.FAIL, True)


def test_a_log_that_is_not_there_yet_ends_no_examination(tmp_path: Path) -> None:
    """With the configuration of an agent that has never run, too."""
    said = found(tmp_path, f"k8s_audit: {{include: [{tmp_path / 'none' / 'audit.log'}]}}")
    assert said["log.there"].state is State.FAIL
