"""One scryd for all tests of a run, with the starter models in a store of its own."""

import atexit
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import scry

ROOT = Path(__file__).resolve().parents[3]
SCRY = ROOT / "bin/scry"

_state = {}


def address():
    """The server's address; started at the first call, ended by its process id at the end of the run."""
    if "address" not in _state:
        _state["address"] = start("--import", "models")
    return _state["address"]


def start(*flags):
    """Starts a server with a store of its own and returns its address."""
    folder = tempfile.TemporaryDirectory()
    log = Path(folder.name) / "log"
    with open(log, "w") as out:
        process = subprocess.Popen([ROOT / "bin/scryd", "--store", f"{folder.name}/store", "--grpc", "127.0.0.1:0", "--admin", "", *flags],
                                   cwd=ROOT, stderr=out)

    def stop():
        process.terminate()
        process.wait(timeout=60)
        folder.cleanup()

    atexit.register(stop)
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = re.search(r"msg=serving grpc=([0-9.:]+)", log.read_text())
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"scryd did not start:\n{log.read_text()}")


def command(*arguments):
    """Runs bin/scry against the server and returns what it printed."""
    done = subprocess.run([SCRY, *map(str, arguments)], env={**os.environ, "SCRY_SERVER": address()}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(f"scry {arguments[0]} ended with {done.returncode}: {done.stdout}")
    return done.stdout


class Served(unittest.TestCase):
    """Tests with a client of the server, and a folder."""

    @classmethod
    def setUpClass(cls):
        cls.client = scry.connect(address())
        cls.addClassCleanup(cls.client.close)
        cls.client.wait_ready(120)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
