"""The example runs as its text says, and calling a server needs neither numpy nor pandas."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests import daemon


class Programs(unittest.TestCase):
    def run_python(self, *arguments, **options):
        return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                              env={**os.environ, "SCRY_SERVER": daemon.address(), "SCRY": str(daemon.SCRY)}, **options)

    def test_train_and_serve(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_python(str(daemon.ROOT / "client/python/examples/train_and_serve.py"), cwd=folder)
            self.assertEqual(done.returncode, 0, done.stdout)
            plot = (Path(folder) / "malignancy.svg").read_text()
        for words in ("the probability of malignant", "stored as malignancy@1", "malignancy@1: malignancy, probability of malignancy, on 114 of 114 rows",
                      "calibration error", "malignancy_band", "is a string, want a number"):
            self.assertIn(words, done.stdout)
        self.assertRegex(done.stdout, r"AUC +0\.9\d+ \(0\.9\d+ to ")
        self.assertIn("malignancy@1 on 114 rows", plot)

    def test_without_numpy_and_pandas(self):
        script = """
import os, sys
sys.modules["numpy"] = sys.modules["pandas"] = None  # importing them fails
import scry, scry.aio
with scry.connect(os.environ["SCRY_SERVER"]) as client:
    client.wait_ready(120)
    print(len(client.score("churn", [{"tenure": 1}])), len(client.analyze_text(["good"])))
try:
    scry.export
except ImportError as e:
    print(e)
"""
        done = self.run_python("-c", script)
        self.assertEqual(done.stdout.splitlines()[0], "1 1", done.stdout)
        self.assertIn("pip install 'scry-client[export]'", done.stdout)


if __name__ == "__main__":
    unittest.main()
