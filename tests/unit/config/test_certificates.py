"""Certificates that are there must be usable: `validate` reads them as a connection would."""

import os
from pathlib import Path

import pytest

from k8s_audit_otlp.config.load import load_tree
from k8s_audit_otlp.config.mistakes import ConfigError, Kind
from tests.kit.backends.certificates import Authority, Pair

HIDDEN = "sesame"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Authority(tmp_path).issue("agent")


def mistakes(tls: dict[str, str]) -> list[str]:
    exporter = {"endpoint": "https://siem:4318", "tls": tls}
    tree = {"receivers": {"k8s_audit": {"include": "/nope"}}, "exporters": {"otlp_http": exporter}}
    try:
        load_tree(tree, "agent.yaml", {})
    except ConfigError as error:
        return [str(mistake) for mistake in error.mistakes]
    return []


def test_a_pair_and_its_authority_are_taken(tmp_path: Path, pair: Pair) -> None:
    """As files and as text."""
    files = {"cert_file": str(pair.cert), "key_file": str(pair.key)}
    assert not mistakes({"ca_file": str(tmp_path / "ca.crt"), **files})
    texts = {"cert_pem": pair.cert.read_text(), "key_pem": pair.key.read_text()}
    assert not mistakes({"ca_pem": (tmp_path / "ca.crt").read_text(), **texts})


def test_what_is_no_certificate_is_named_with_its_key(tmp_path: Path, pair: Pair) -> None:
    """A key for a certificate, a pair that does not belong together, text of another kind."""
    text = tmp_path / "text"
    text.write_text(HIDDEN)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").issue("other")
    wrong = [
        ({"ca_file": str(text)}, "tls::ca_file", "holds no certificate in PEM"),
        ({"ca_pem": HIDDEN}, "tls::ca_pem", "holds no certificate in PEM"),
        ({"cert_file": str(pair.key), "key_file": str(pair.key)}, "tls::cert_file", "in PEM"),
        (
            {"cert_file": str(pair.cert), "key_file": str(pair.cert)},
            "tls::key_file",
            "holds no private key in PEM",
        ),
        (
            {"cert_file": str(pair.cert), "key_file": str(other.key)},
            "tls::cert_file",
            "the key does not belong to the certificate",
        ),
    ]
    for tls, place, why in wrong:
        [said] = mistakes(tls)
        assert said.startswith(f"exporters::otlp_http::{place}: ")
        assert why in said
        assert HIDDEN not in said


def test_a_file_that_is_not_there_yet_is_a_remark(tmp_path: Path, pair: Pair) -> None:
    """A secret may be mounted later."""
    del pair
    exporter = {"endpoint": "https://siem:4318", "tls": {"ca_file": str(tmp_path / "later")}}
    tree = {"receivers": {"k8s_audit": {"include": "/nope"}}, "exporters": {"otlp_http": exporter}}
    remarks = load_tree(tree, "agent.yaml", {}).remarks
    assert {remark.kind for remark in remarks} == {Kind.MISSING}


@pytest.mark.parametrize(("path", "kinds"), [("/dev/null", [Kind.UNUSUAL]), ("/dev/tty", [])])
def test_a_device_that_keeps_nothing_is_named(path: str, kinds: list[Kind]) -> None:
    """What is written to it counts as delivered, as who tries something out may want."""
    tree = {
        "receivers": {"k8s_audit": {"include": "/nope"}},
        "exporters": {"otlp_file": {"path": path}},
    }
    remarks = load_tree(tree, "agent.yaml", {}).remarks
    assert [remark.kind for remark in remarks if "otlp_file" in remark.where] == kinds


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """To open a pipe would be to wait for who writes into it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keys = ("ca_file", "cert_file", "key_file")
    said = mistakes(dict.fromkeys(keys, str(pipe)))
    where = {f"exporters::otlp_http::tls::{key}: {pipe} is a pipe" for key in keys}
    assert {each.partition(",")[0] for each in said} == where


def test_a_servers_certificate_is_read_too(tmp_path: Path, pair: Pair) -> None:
    """With the authorities of its clients."""
    tls = {"cert_file": str(pair.cert), "key_file": str(pair.key), "client_ca_file": str(pair.key)}
    tree = {
        "receivers": {"k8s_audit_webhook": {"tls": tls}},
        "exporters": {"otlp_http": {"endpoint": "http://siem:4318"}},
        "service": {"state_dir": str(tmp_path / "state")},
    }
    with pytest.raises(ConfigError) as caught:
        load_tree(tree, "agent.yaml", {})
    [mistake] = caught.value.mistakes
    assert mistake.where == "receivers::k8s_audit_webhook::tls::client_ca_file"
    assert "holds no certificate in PEM" in mistake.what
