"""Generates the stubs under scry/ from proto/: python generate.py [--check].

protoc comes with grpcio-tools, the descriptors from buf. The rules of validation (buf.validate) are the server's; they
are taken out, so that the stubs need no package for them and register nothing under another project's name.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def descriptors():
    """Our files and what they import, without options that are extensions."""
    built = subprocess.run([ROOT / "bin/buf", "build", "--as-file-descriptor-set", "--exclude-source-info", "-o", "-"],
                           cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    files = descriptor_pb2.FileDescriptorSet.FromString(built)
    files.DiscardUnknownFields()  # extensions are unknown here
    for file in files.file:
        kept = [name for name in file.dependency if not name.startswith(("buf/", "google/api/"))]
        del file.dependency[:]
        file.dependency.extend(kept)
    return files


def generate(into):
    files = descriptors()
    ours = sorted(file.name for file in files.file if file.name.startswith("scry/"))
    with tempfile.NamedTemporaryFile(suffix=".binpb") as image:
        image.write(files.SerializeToString(deterministic=True))
        image.flush()
        arguments = ["protoc", f"--descriptor_set_in={image.name}", f"--python_out={into}", f"--pyi_out={into}",
                     f"--grpc_python_out={into}", *ours]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc failed; its reason is above")
    for name in ours:  # a file without a service has no calls
        stub = into / name.replace(".proto", "_pb2_grpc.py")
        if "Stub(object)" not in stub.read_text():
            stub.unlink()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*_pb2*") if path.suffix in (".py", ".pyi")}


def main():
    check = sys.argv[1:] == ["--check"]
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        new, old = contents(Path(folder)), {path: text for path, text in contents(HERE).items() if path.parts[0] == "scry"}
    if check:
        stale = sorted(str(path) for path in new.keys() | old.keys() if new.get(path) != old.get(path))
        if stale:
            raise SystemExit("not current, run make python-generate and commit: " + ", ".join(stale))
        return
    for path in old.keys() - new.keys():
        (HERE / path).unlink()
    for path, text in new.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_bytes(text)


if __name__ == "__main__":
    main()
