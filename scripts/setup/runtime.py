"""Puts ONNX Runtime and its providers into a folder (`.runtime`), from pinned wheels.

    onnxruntime/libonnxruntime.so.1.31.1    the CPU build, or the CUDA build where a driver can run it
    openvino/                               the OpenVINO execution provider plugin and the libraries beside it
    nvidia/cu13/lib, nvidia/cudnn/lib       what the CUDA provider links to and opens, with a new enough driver only

Each of the three is unpacked beside its place and renamed into it, with a STAMP that holds the sums of its wheels:
a second run compares the stamps and does nothing.
"""

import argparse
import ctypes
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wheels import SetupError, Wheel, fetch

MIN_DRIVER = 580  # the first driver for CUDA 13

ORT_CPU = Wheel("onnxruntime", "1.31.1", "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
                "cp312-cp312-manylinux_2_28_x86_64")
ORT_CUDA = Wheel("onnxruntime-gpu", "1.31.1", "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
                 "cp312-cp312-manylinux_2_28_x86_64")
OPENVINO = Wheel("onnxruntime-ep-openvino", "1.8.1", "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924",
                 "py3-none-manylinux_2_28_x86_64")
# The CUDA provider links cublas, cublasLt, curand and cudart of CUDA 13.0 and opens cuDNN 9, which compiles kernels by
# nvrtc. It would open cuFFT for Rfft and Irfft only: no model of ours has them, and they would be 255 MB more.
NVIDIA = (
    Wheel("nvidia-cublas", "13.1.0.3", "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
          "py3-none-manylinux_2_27_x86_64"),
    Wheel("nvidia-cuda-runtime", "13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
          "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64"),
    Wheel("nvidia-cuda-nvrtc", "13.0.88", "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
          "py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64"),
    Wheel("nvidia-curand", "10.4.0.35", "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
          "py3-none-manylinux_2_27_x86_64"),
    Wheel("nvidia-cudnn-cu13", "9.26.1.1", "c709224270fbfb5c51248422b468dc258461a723a8d5a21f50111614b36b8c53",
          "py3-none-manylinux_2_27_x86_64"),
)

# The Debian packages of the libraries that ONNX Runtime itself links to.
DEBIAN = {"libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1", "libz.so.1": "zlib1g"}


@dataclass(frozen=True)
class Component:
    """A folder of the runtime: which wheels it is made of, which of their files it keeps and where."""

    folder: str
    wheels: tuple
    keep: tuple  # pairs of a pattern over paths in the wheel and the folder it goes to, "{0}" = the pattern's group
    probe: str = ""  # a library that must load

    def stamp(self) -> str:
        return "".join(f"{wheel.sha256}  {wheel.name}=={wheel.version}\n" for wheel in self.wheels)


NOTICES = (r".*\.dist-info/(?:licenses/)?(?:LICENSE|License|NOTICE|METADATA)[^/]*", "licenses/{wheel}")


def onnxruntime(wheel: Wheel) -> Component:
    return Component(
        "onnxruntime", (wheel,),
        ((r"onnxruntime/capi/libonnxruntime\.so\.[^/]*", "."),
         (r"onnxruntime/capi/libonnxruntime_providers_(?:shared|cuda)\.so", "."),
         (r"onnxruntime/(?:LICENSE|ThirdPartyNotices\.txt)", "licenses/{wheel}"), NOTICES),
        probe="libonnxruntime.so.1.31.1")


def openvino() -> Component:
    # Without the GPU and NPU plugins, which scry does not use, and without the versioned copies of the plugin.
    return Component(
        "openvino", (OPENVINO,),
        ((r"onnxruntime_ep_openvino/(?!libopenvino_intel_[gn]pu)[^/]*(?:\.so|(?<!_plugin)\.so\.\d+)", "."),
         (r"onnxruntime_ep_openvino/third-party-programs\.txt", "licenses/{wheel}"), NOTICES))


def nvidia() -> Component:
    # The wheels' own layout: cuDNN finds its neighbours by paths relative to itself.
    return Component("nvidia", NVIDIA, ((r"nvidia/([^/]+/lib)/(?!libnvblas|.*\.alt\.)[^/]*\.so[^/]*", "{0}"), NOTICES))


def install(component: Component, root: Path) -> bool:
    """Brings the component's folder under root up to its pins. Says whether anything had to be done."""
    place = root / component.folder
    stamp = place / "STAMP"
    if stamp.is_file() and stamp.read_text() == component.stamp() and (place / component.probe).exists():
        return False
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=root) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir(mode=0o755)
        for wheel in component.wheels:
            archive = fetch(wheel, Path(scratch, "wheels"))
            unpack(archive, wheel, component, fresh)
            archive.unlink()  # the CUDA wheels together are over 1 GB
        if component.probe:
            check_loads(fresh / component.probe)
        (fresh / "STAMP").write_text(component.stamp())
        if place.exists():
            place.rename(Path(scratch, "old"))
        fresh.rename(place)
    return True


def unpack(archive: Path, wheel: Wheel, component: Component, target: Path) -> None:
    """Copies the files that the component keeps out of a wheel."""
    kept = 0
    with zipfile.ZipFile(archive) as wheel_file:
        for entry in wheel_file.infolist():
            for pattern, folder in component.keep:
                match = re.fullmatch(pattern, entry.filename)
                if match is None:
                    continue
                path = target / folder.format(*match.groups(), wheel=wheel.name) / PurePosixPath(entry.filename).name
                path.parent.mkdir(parents=True, exist_ok=True)
                with wheel_file.open(entry) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                kept += ".so" in path.name
                break
    if kept == 0:
        raise SetupError(f"{wheel} holds no library: the pin in scripts/setup/runtime.py needs a look")


def check_loads(library: Path) -> None:
    """Loads a library in a process of its own and names the Debian package of one that is missing."""
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(library)], capture_output=True, text=True)
    if done.returncode == 0:
        return
    reason = (done.stderr.strip().splitlines() or ["the process died"])[-1]
    for name, package in DEBIAN.items():
        if f"{name}: cannot open" in reason:
            raise SetupError(f"{name} is missing: apt-get install {package}")
    raise SetupError(f"{library.name} does not load: {reason}")


def driver() -> "tuple[int, str] | None":
    """The NVIDIA kernel driver's (major, full version), or None where there is none."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
        match = re.search(r"\b(\d{3,})(\.\d+)+", text)
    except OSError:
        try:
            text = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                                  capture_output=True, text=True, timeout=30).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = re.search(r"\b(\d{3,})(\.\d+)+", text)
    return (int(match[1]), match[0]) if match else None


def choose_build(wanted: str) -> str:
    """Resolves "auto" to "cpu" or "cuda" and says in one line why a driver that is there is not used."""
    if wanted != "auto":
        return wanted
    found = driver()
    if found is None:
        return "cpu"
    major, version = found
    if major < MIN_DRIVER:
        print(f"  NVIDIA driver {version} is too old for CUDA 13 (it needs {MIN_DRIVER} or newer): taking the CPU build")
        return "cpu"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        print(f"  NVIDIA driver {version} is there, but its libcuda.so.1 is not (in a container: start it with "
              "--gpus all): taking the CPU build")
        return "cpu"
    return "cuda"


def check_host() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SetupError(f"the pinned ONNX Runtime is for Linux x86-64, not {sys.platform} {platform.machine()}: "
                         "set SCRY_ORT_LIBRARY to a library of your own")
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 28):
        raise SetupError(f"ONNX Runtime needs glibc 2.28 or newer, here is {name or 'another libc'} {version}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="the folder to fill")
    parser.add_argument("--build", choices=("auto", "cpu", "cuda"), default="auto",
                        help="auto takes the CUDA build where an NVIDIA driver can run it")
    args = parser.parse_args()

    check_host()
    build = choose_build(args.build)
    components = [onnxruntime(ORT_CUDA if build == "cuda" else ORT_CPU), openvino()]
    if build == "cuda":
        components.append(nvidia())

    args.root.mkdir(parents=True, exist_ok=True)
    for leftover in args.root.glob(".unpack-*"):  # of a run that was killed; setup.sh sees to it that only one runs
        shutil.rmtree(leftover)
    for component in components:
        if install(component, args.root):
            print(f"  {args.root.name}/{component.folder} is ready")


if __name__ == "__main__":
    try:
        main()
    except (SetupError, OSError) as problem:  # a full disk, a folder that may not be written
        sys.exit(f"setup: {problem}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again to go on")
