"""Fetches pinned wheels through pip and checks them.

The wheel is named in full (version, tag, sha256), so that what comes does not depend on the Python that runs this file.
Only the standard library and pip are used.
"""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


class SetupError(Exception):
    """Something the user can act on; its text is one line that says what to do."""


@dataclass(frozen=True)
class Wheel:
    """One file of a registry package."""

    name: str
    version: str
    sha256: str
    tag: str = "py3-none-any"  # python-abi-platform; a platform may be several joined by dots

    def __str__(self):
        return f"{self.name} {self.version}"


def fetch(wheel: Wheel, into: Path) -> Path:
    """Downloads the wheel into the folder `into` and returns its path.

    Raises SetupError when pip is missing, when the download fails, and when the bytes are not the pinned ones.
    """
    python, abi, platforms = wheel.tag.split("-")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--no-cache-dir", "--dest", str(into)]
    if not sys.stdout.isatty():
        command.append("--quiet")
    if abi != "none":
        command += ["--implementation", python[:2], "--python-version", python[2:], "--abi", abi]
    if platforms != "any":
        for platform in platforms.split("."):
            command += ["--platform", platform]
    command.append(f"{wheel.name}=={wheel.version}")

    print(f"  fetching {wheel}", flush=True)
    started = time.monotonic()
    into.mkdir(parents=True, exist_ok=True)
    before = set(into.iterdir())
    # The user's pip settings (index, proxy) stay in force, but not those that would change what is downloaded.
    env = {k: v for k, v in os.environ.items() if k not in ("PIP_TARGET", "PIP_PLATFORM", "PIP_REQUIRE_VIRTUALENV")}
    done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        if "No module named pip" in done.stderr:
            raise SetupError("python3 has no pip: apt-get install python3-pip")
        if "Retrying (" in done.stderr:
            raise SetupError(f"pip cannot fetch {wheel}: the package index does not answer (pip config list shows which)")
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise SetupError(f"pip cannot fetch {wheel}: {errors[-1] if errors else 'it gave no reason'}")
    (path,) = set(into.iterdir()) - before
    digest = sha256(path)
    if digest != wheel.sha256:
        path.unlink()
        raise SetupError(f"{wheel} has sha256 {digest}, pinned is {wheel.sha256}: the registry gave another file")
    print(f"  {path.stat().st_size / 1e6:.0f} MB in {time.monotonic() - started:.0f} s, sha256 as pinned", flush=True)
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
