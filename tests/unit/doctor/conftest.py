"""What the doctor's tests share: a log with events, a user who is not root, certificates."""

import os
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

NOBODY = 65534


def event(seconds, **changes):
    """Write an event of *seconds* since the epoch, as kube-apiserver does."""
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    when = when.replace("+00:00", "Z")
    return (
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",'
        f'"auditID":"{changes.get("audit_id", int(seconds * 1000))}","stage":"ResponseComplete",'
        '"requestURI":"/api","verb":"get","user":{"username":"u"},'
        f'"requestReceivedTimestamp":"{when}","stageTimestamp":"{when}"}}\n'
    )


@pytest.fixture
def events():
    """Make *count* events that end now, *apart* seconds apart."""

    def make(count=200, apart=0.5, until=None):
        end = time.time() if until is None else until
        return "".join(event(end - apart * (count - 1 - n)) for n in range(count))

    return make


@pytest.fixture
def as_nobody(tmp_path):
    """Become a user without rights, as far as files are concerned; who may enter the folder."""

    @contextmanager
    def become():
        if os.geteuid() != 0:
            yield
            return
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o077 == 0:
                folder.chmod(0o711)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return become


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Make an authority, and certificates of it by their names, with the openssl tool."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "400")
    lives = {"good": ("-days", "300"), "soon": ("-days", "5")}
    lives["expired"] = ("-not_before", "20240101000000Z", "-not_after", "20240201000000Z")
    for name, life in lives.items():
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=localhost"),
        )
        (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        try:
            openssl(
                *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
                *("-CAcreateserial", "-extfile", "san", "-out", f"{name}.pem", *life),
            )
        except subprocess.CalledProcessError:  # before openssl 3.4 it takes no dates: sign by `ca`
            _sign_by_dates(openssl, folder, name, life)
    return folder


def _sign_by_dates(openssl, folder, name, life):
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    openssl(
        *("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"),
        *("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "san"),
        *("-startdate", life[1], "-enddate", life[3]),
    )
