"""The file, the flags and the trial's certificates fit each other."""

import shutil
import ssl
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.apiserver.webhook import flags, kubeconfig
from k8s_audit_otlp.cli import main

URL = "https://audit.example:9443/audit/prod"


def test_the_file_is_a_kubeconfig_with_what_is_given() -> None:
    """kube-apiserver reads it as a client of any API."""
    shown = "made-up"
    text = kubeconfig(URL, ca_file="/ca", cert_file="/cert", key_file="/key", token=shown)
    tree = yaml.safe_load(text)
    assert tree["clusters"][0]["cluster"] == {"server": URL, "certificate-authority": "/ca"}
    user = {"client-certificate": "/cert", "client-key": "/key", "token": "made-up"}
    assert tree["users"][0]["user"] == user
    context = tree["contexts"][0]
    assert tree["current-context"] == context["name"]
    assert context["context"]["cluster"] == tree["clusters"][0]["name"]
    assert context["context"]["user"] == tree["users"][0]["name"]


@pytest.mark.parametrize(
    ("url", "cert_file", "said"),
    [
        ("audit.example:9443", "", "https://HOST:9443/audit"),
        ("https://audit.example", "", "https://HOST:9443/audit"),
        (URL, "/c", "needs its key"),
    ],
)
def test_what_cannot_work_is_refused(url: str, cert_file: str, said: str) -> None:
    """With the hint."""
    with pytest.raises(RefusalError, match=said):
        kubeconfig(url, cert_file=cert_file)


def test_only_batch_mode_has_flags_for_batches() -> None:
    """kube-apiserver takes them without a word, and they would mean nothing."""
    assert any("batch-buffer" in flag for flag in flags("/f", "batch"))
    assert not any("batch-" in flag for flag in flags("/f", "blocking"))


def test_it_is_said_how_long_an_agent_may_be_away() -> None:
    """A request that blocks repeats for seconds; batches, which nobody waits for, for longer."""
    said = {mode: flags("/f", mode) for mode in ("batch", "blocking")}
    assert "1m21s" in said["batch"]["--audit-webhook-initial-backoff=10s"]
    assert "8s" in said["blocking"]["--audit-webhook-initial-backoff=1s"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_certificates_for_a_trial_are_made_and_named_in_the_file(tmp_path: Path) -> None:
    """Both sides trust each other; what is there already is not written over."""
    directory = tmp_path / "pki"
    arguments = ["webhook", "--url", URL, "--make-certificates", str(directory)]
    done = CliRunner().invoke(main, ["apiserver", *arguments])
    assert done.exit_code == 0, done.output
    tree = yaml.safe_load(done.stdout)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "server.crt", directory / "server.key")
    client = ssl.create_default_context(
        cafile=tree["clusters"][0]["cluster"]["certificate-authority"]
    )
    user = tree["users"][0]["user"]
    client.load_cert_chain(user["client-certificate"], user["client-key"])
    assert (directory / "ca.key").stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(main, ["apiserver", *arguments])
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_nothing_is_made_where_the_address_is_refused(tmp_path: Path) -> None:
    """The page's own HOST is a placeholder: the same command goes on once it is written."""
    arguments = ["webhook", "--make-certificates", str(tmp_path / "pki"), "--url"]
    done = CliRunner().invoke(main, ["apiserver", *arguments, "https://HOST:9443/audit/prod"])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "placeholder" in done.stderr
    assert not (tmp_path / "pki").exists()
