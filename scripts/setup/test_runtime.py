"""Tests of runtime.py without a network: python3 -m unittest discover -s scripts/setup"""

import contextlib
import hashlib
import io
import re
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import runtime
from wheels import SetupError, Wheel


class Build(unittest.TestCase):
    """Which build a machine gets, and what it is told when that is not the one it hoped for."""

    def choose(self, version, library=True):
        found = version and (int(version.split(".")[0]), version)
        load = mock.Mock() if library else mock.Mock(side_effect=OSError)
        said = io.StringIO()
        with mock.patch.object(runtime, "driver", return_value=found), \
                mock.patch.object(runtime.ctypes, "CDLL", load), contextlib.redirect_stdout(said):
            return runtime.choose_build("auto"), said.getvalue()

    def test_no_driver(self):
        self.assertEqual(self.choose(None), ("cpu", ""))

    def test_new_driver(self):
        self.assertEqual(self.choose("580.65.06"), ("cuda", ""))

    def test_old_driver_gets_one_line(self):
        build, said = self.choose("550.54.15")
        self.assertEqual(build, "cpu")
        self.assertIn("550.54.15 is too old", said)
        self.assertEqual(said.count("\n"), 1)

    def test_container_without_the_library_gets_one_line(self):
        build, said = self.choose("580.65.06", library=False)
        self.assertEqual(build, "cpu")
        self.assertIn("libcuda.so.1", said)
        self.assertEqual(said.count("\n"), 1)


class Driver(unittest.TestCase):
    """Reading the driver's version."""

    def read(self, text):
        with mock.patch.object(runtime.Path, "read_text", return_value=text):
            return runtime.driver()

    def test_proprietary_and_open_modules(self):
        self.assertEqual(self.read("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 2024\n"
                                   "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"), (535, "535.183.01"))
        self.assertEqual(self.read("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"),
                         (580, "580.65.06"))

    def test_neither_module_nor_tool(self):
        with mock.patch.object(runtime.Path, "read_text", side_effect=OSError), \
                mock.patch.object(runtime.subprocess, "run", side_effect=FileNotFoundError):
            self.assertIsNone(runtime.driver())


class Install(unittest.TestCase):
    """Unpacking is all or nothing, and is done once."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        self.fetched = 0

    def component(self, content):
        self.archive = io.BytesIO()
        with zipfile.ZipFile(self.archive, "w") as wheel:
            wheel.writestr("pkg/liba.so.1", content)
            wheel.writestr("pkg/__init__.py", "")
            wheel.writestr("pkg-1.dist-info/licenses/LICENSE", "free")
        digest = hashlib.sha256(self.archive.getvalue()).hexdigest()
        return runtime.Component("part", (Wheel("pkg", "1", digest),),
                                 ((r"pkg/[^/]*\.so\.\d", "lib"), runtime.NOTICES))

    def install(self, component):
        def fetch(wheel, into):
            self.fetched += 1
            into.mkdir(exist_ok=True)
            (into / "pkg.whl").write_bytes(self.archive.getvalue())
            return into / "pkg.whl"

        with mock.patch.object(runtime, "fetch", fetch):
            return runtime.install(component, self.root)

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def test_keeps_libraries_and_licences_only(self):
        self.assertTrue(self.install(self.component("one")))
        self.assertEqual(self.files(), ["part/STAMP", "part/lib/liba.so.1", "part/licenses/pkg/LICENSE"])

    def test_second_run_does_nothing(self):
        component = self.component("one")
        self.install(component)
        self.assertFalse(self.install(component))
        self.assertEqual(self.fetched, 1)

    def test_new_pin_replaces_the_old_content(self):
        self.install(self.component("one"))
        self.assertTrue(self.install(self.component("two")))
        self.assertEqual((self.root / "part/lib/liba.so.1").read_text(), "two")
        self.assertEqual([path.name for path in self.root.iterdir()], ["part"])

    def test_failure_leaves_the_old_content(self):
        self.install(self.component("one"))
        broken = self.component("two")
        self.archive = io.BytesIO(b"cut off")
        with self.assertRaises(zipfile.BadZipFile):
            self.install(broken)
        self.assertEqual((self.root / "part/lib/liba.so.1").read_text(), "one")
        self.assertEqual([path.name for path in self.root.iterdir()], ["part"])

    def test_wheel_without_a_library_is_an_error(self):
        component = self.component("one")
        with self.assertRaisesRegex(SetupError, "holds no library"):
            self.install(runtime.Component("part", component.wheels, (runtime.NOTICES,)))


class Pins(unittest.TestCase):
    """The patterns keep what the daemon loads."""

    def kept(self, component, path):
        return any(re.fullmatch(pattern, path) for pattern, _ in component.keep)

    def test_onnxruntime(self):
        component = runtime.onnxruntime(runtime.ORT_CUDA)
        for name in ("libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            self.assertTrue(self.kept(component, f"onnxruntime/capi/{name}"), name)
        self.assertFalse(self.kept(component, "onnxruntime/capi/libonnxruntime_providers_tensorrt.so"))

    def test_openvino(self):
        component = runtime.openvino()
        for name in ("libonnxruntime_providers_openvino_plugin.so", "libopenvino.so.2641", "libtbb.so.12",
                     "libopenvino_intel_cpu_plugin.so", "libopenvino_onnx_frontend.so.2641"):
            self.assertTrue(self.kept(component, f"onnxruntime_ep_openvino/{name}"), name)
        for name in ("libonnxruntime_providers_openvino_plugin.so.1", "libonnxruntime_providers_openvino_plugin.so.1.8.1",
                     "libopenvino_intel_gpu_plugin.so", "cache.json"):
            self.assertFalse(self.kept(component, f"onnxruntime_ep_openvino/{name}"), name)

    def test_nvidia(self):
        component = runtime.nvidia()
        for name in ("cu13/lib/libcublasLt.so.13", "cu13/lib/libnvrtc-builtins.so.13.0", "cudnn/lib/libcudnn.so.9"):
            self.assertTrue(self.kept(component, f"nvidia/{name}"), name)
        for name in ("cu13/lib/libnvblas.so.13", "cu13/lib/libnvrtc.alt.so.13", "cu13/include/cuda.h"):
            self.assertFalse(self.kept(component, f"nvidia/{name}"), name)


if __name__ == "__main__":
    unittest.main()
