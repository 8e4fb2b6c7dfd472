"""The image, built by buildah without a daemon, and its programs run in it as a pod would.

No registry of images need be reachable: Debian's packages make a base of the same Debian and Python
under another name. Registry certificates of this machine are mounted while the build runs.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
CACHE = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", Path.home() / ".cache/k8s-audit-otlp/bin"))
BASE = "localhost/python-stand-in"
TAG = "localhost/k8s-audit-otlp-under-test"
PACKAGES = "python3,python3-venv,python3-dev,gcc,libc6-dev,ca-certificates,tzdata,netbase"
# A root file system that cannot be written, as a user that /etc/passwd does not know.
POD = """\
set -e
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$WORK" "$root/mnt"
exec env -i "$@"
"""


def stand_in() -> Path:
    """Return the archive of a base that has `python` of the version that the Dockerfile names."""
    archive = CACHE / "python-and-gcc-stand-in.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = archive.with_suffix(".new.tar")
        subprocess.run(
            [
                *("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}"),
                '--customize-hook=ln -s python3 "$1/usr/bin/python"',
                *("trixie", made),
            ],
            check=True,
            capture_output=True,
            timeout=900,
        )
        made.rename(archive)
    return archive


class Image:
    """An image of the working tree in a store of its own."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._root = Path()
        self._driver = "overlay"
        try:
            self.buildah("info")
        except RuntimeError:  # such as below a container's own layers: each step is a copy of all
            self._driver = "vfs"

    def build(self) -> None:
        """Make the base, then the image as `deploy/Dockerfile` says; mount what came out."""
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, str(stand_in()), "/")
        self.buildah("commit", "--quiet", "--rm", container, BASE)
        self.bud("--build-arg", "UNPINNED_BASE=yes", "--tag", TAG)
        container = self.buildah("from", "--pull-never", TAG)
        self._root = Path(self.buildah("mount", container))

    def bud(self, *arguments: str) -> str:
        """Build on the stand-in for the base."""
        certificates = Path("/etc/ssl/certs")
        mounted = [f"--volume={certificates}:{certificates}:ro"] if certificates.exists() else []
        return self.buildah(
            *("bud", "--pull-never", "--file", "deploy/Dockerfile"),
            *("--ignorefile", "deploy/Dockerfile.dockerignore"),
            *("--build-arg", f"BASE={BASE}", *mounted, *arguments, "."),
        )

    def buildah(self, *arguments: str) -> str:
        """Run buildah and return what it prints; what it complains of is in the error."""
        store = ("--root", f"{self._store}/images", "--runroot", f"{self._store}/run")
        done = subprocess.run(
            ["buildah", *store, "--storage-driver", self._driver, *arguments],
            cwd=TOP,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return done.stdout.strip()

    def config(self) -> dict[str, Any]:
        """Return the image's configuration: user, entry point, environment, labels."""
        config: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", TAG))
        return dict(config["OCIv1"]["config"])

    def run(
        self, work: Path, *command: str, user: str = "12345:54321"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command under a read-only root; `work` is `/mnt` and the one place to write."""
        environment: Sequence[str] = self.config()["Env"]
        return subprocess.run(
            [
                *("unshare", "--mount", "--propagation=private", "bash", "-c", POD, "pod"),
                *(str(self._root), *environment),
                *(str(shutil.which("chroot")), f"--userspec={user}", str(self._root), *command),
            ],
            env={**os.environ, "WORK": str(work)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def names(self) -> set[str]:
        """Return every file and link of the image, as paths from its root."""
        found = (path for path in self._root.rglob("*") if path.is_symlink() or path.is_file())
        return {str(path.relative_to(self._root)) for path in found}

    def unpacked_bytes(self) -> int:
        """Return what its files take together."""
        return sum((self._root / name).lstat().st_size for name in self.names())

    def compressed_bytes(self) -> int:
        """Return how many bytes a node pulls: all layers, compressed with gzip."""
        folder = self._store / "pushed"
        self.buildah("push", "--quiet", "--format", "oci", TAG, f"dir:{folder}")
        manifest = json.loads((folder / "manifest.json").read_text())
        return sum(int(layer["size"]) for layer in manifest["layers"])

    def remove(self) -> None:
        self.buildah("rm", "--all")
        mounted = self._store / "images" / self._driver
        if mounted.is_mount():  # it is, for as long as overlays are made below it
            subprocess.run(["umount", mounted], check=True)
        shutil.rmtree(self._store)
