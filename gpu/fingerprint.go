package gpu

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// Fingerprint is a text that differs where a figure measured on this machine
// no longer holds: another processor or number of them, another release of ONNX
// Runtime, of a provider or of the NVIDIA driver, another GPU.
func (r *Runtime) Fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "onnxruntime %s; %s, %d processors, %s", ort.GetVersion(), cpuName(), runtime.GOMAXPROCS(0), vectorFlags(cpuInfo("flags")))
	if v, err := driverVersion(); err == nil {
		fmt.Fprintf(&b, "; driver %v", v)
	}
	if r.config.OpenVINO != "" && !r.config.CPUOnly {
		// The plugin tells no version. Its size differs from build to build.
		if info, err := os.Stat(r.config.OpenVINO); err == nil {
			fmt.Fprintf(&b, "; %s of %d bytes", filepath.Base(r.config.OpenVINO), info.Size())
		}
	}
	for _, d := range r.Devices() {
		fmt.Fprintf(&b, "; %s %s available=%t %v", d.ID, d.Name, d.Available, d.Precisions)
	}
	return b.String()
}

// vectorFlags are those of a CPU's flags on which the speed of kernels depends.
func vectorFlags(flags string) string {
	var out []string
	for f := range strings.FieldsSeq(flags) {
		for _, family := range []string{"avx", "amx", "fma", "f16c", "sse4", "asimd", "sve", "bf16", "i8mm"} {
			if strings.HasPrefix(f, family) {
				out = append(out, f)
				break
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
