package gpu

// #include <stdlib.h>
// #include "nvidia.h"
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"
)

// minDriver is the oldest major version of the NVIDIA driver that runs CUDA 13,
// which ONNX Runtime's CUDA provider is built for.
const minDriver = 580

// cudaHardware is a GPU as the driver describes it. Its place in the list is
// the device number of the CUDA provider: both honour CUDA_VISIBLE_DEVICES.
type cudaHardware struct {
	name  string
	bus   string // PCI address
	total int64  // bytes
	major int    // of the compute capability
	minor int
}

// driverVersion asks NVML; the error says in one line why there is no driver.
func driverVersion() (string, error) {
	var version [96]C.char
	var why [256]C.char
	if C.scry_nvml_open(&version[0], C.size_t(len(version)), &why[0], C.size_t(len(why))) != 0 {
		return "", errors.New(C.GoString(&why[0]))
	}
	return C.GoString(&version[0]), nil
}

// checkDriver reports whether a driver of this version ("580.65.06") will do.
func checkDriver(version string) error {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return fmt.Errorf("the NVIDIA driver has the version %q, which cannot be read", version)
	}
	if n < minDriver {
		return fmt.Errorf("the NVIDIA driver is %s, CUDA 13 needs %d or newer", version, minDriver)
	}
	return nil
}

// cudaDevices lists the GPUs that this process may use.
func cudaDevices() ([]cudaHardware, error) {
	var count C.int
	var why [256]C.char
	if C.scry_cuda_open(&count, &why[0], C.size_t(len(why))) != 0 {
		return nil, errors.New(C.GoString(&why[0]))
	}
	if count == 0 {
		return nil, errors.New("the NVIDIA driver shows no GPU to this process")
	}
	out := make([]cudaHardware, 0, count)
	for i := range count {
		var d C.scry_cuda_device
		if C.scry_cuda_describe(i, &d) != 0 {
			return nil, fmt.Errorf("GPU %d does not answer", i)
		}
		out = append(out, cudaHardware{
			name: C.GoString(&d.name[0]), bus: C.GoString(&d.bus[0]),
			total: int64(d.total), major: int(d.major), minor: int(d.minor),
		})
	}
	return out, nil
}

// cudaMemory returns total and free bytes of the GPU at a PCI address.
func cudaMemory(bus string) (total, free int64, ok bool) {
	p := C.CString(bus)
	defer C.free(unsafe.Pointer(p))
	var t, f C.ulonglong
	if C.scry_nvml_memory(p, &t, &f) != 0 {
		return 0, 0, false
	}
	return int64(t), int64(f), true
}

// cudaLibrary is one that the CUDA provider needs.
type cudaLibrary struct {
	name     string // may be a pattern
	optional bool
}

// cudaLibraries in the order of loading. cuDNN finds its own parts beside it.
var cudaLibraries = []cudaLibrary{
	{"libcudart.so.13", false},
	{"libcublasLt.so.13", false},
	{"libcublas.so.13", false},
	{"libcurand.so.10", false},
	// For convolutions that cuDNN compiles at run time.
	{"libnvrtc-builtins.so.13.*", true},
	{"libnvrtc.so.13", true},
	{"libcudnn.so.9", false},
}

// findCUDALibrary returns the path of a library in a folder laid out as pip's
// nvidia-* packages are (dir/*/lib), or the bare name, which the system's
// loader resolves, when dir is empty. Empty when there is none.
func findCUDALibrary(dir, name string) string {
	if dir == "" {
		return name
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*", "lib", name))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// loadCUDALibraries loads them all by path, so that the provider finds them
// without LD_LIBRARY_PATH.
func loadCUDALibraries(dir string) error {
	for _, lib := range cudaLibraries {
		path := findCUDALibrary(dir, lib.name)
		if path == "" {
			if lib.optional {
				continue
			}
			return fmt.Errorf("the library %s is missing", lib.name)
		}
		if err := loadGlobal(path); err != nil && !lib.optional {
			return fmt.Errorf("the library %s cannot be loaded: %s", lib.name, sanitize(err.Error()))
		}
	}
	return nil
}
