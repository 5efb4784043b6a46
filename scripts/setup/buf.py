"""Fetches buf, the protobuf linter and generator, from its wheel on PyPI: python buf.py TARGET."""

import os
import sys
import tempfile
import zipfile
from pathlib import Path

from wheels import SetupError, Wheel, fetch

BUF = Wheel("buf-bin", "1.75.0", "6fd3ecb1694b6f5bcdfb9bef5297b330ffb9731b95445a42944c1b6158428101",
            "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64")


def main():
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        wheel = fetch(BUF, Path(work))
        with zipfile.ZipFile(wheel) as z:
            program = next(n for n in z.namelist() if n.endswith("/scripts/buf"))
            unpacked = Path(work) / "buf"
            unpacked.write_bytes(z.read(program))
        unpacked.chmod(0o755)
        os.replace(unpacked, target)


if __name__ == "__main__":
    try:
        main()
    except SetupError as e:
        sys.exit(f"setup: {e}")
