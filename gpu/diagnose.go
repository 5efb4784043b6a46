package gpu

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/scry-ml/scry/tensor"
)

// Check is one line of a diagnosis.
type Check struct {
	Name string // "ONNX Runtime", "NVIDIA driver", "device cuda:0"
	OK   bool
	// Required says that nothing can be served while the check fails; the others
	// are about what could be faster.
	Required bool
	Detail   string // what was found, or what is wrong and what helps
}

// Diagnose looks at everything that Open needs and uses, opens it, and runs a
// small graph on every device. It reports instead of failing, so that it also
// helps where nothing can be opened. It cannot run beside an open Runtime.
func Diagnose(ctx context.Context, c Config) []Check {
	total, free := hostMemory()
	checks := []Check{
		{
			Name: "processor", OK: true, Required: true,
			Detail: fmt.Sprintf("%s, %d threads for this process, bfloat16 %s", cpuName(), runtime.GOMAXPROCS(0), yesNo(hasBF16(cpuInfo("flags")))),
		},
		{Name: "memory", OK: true, Required: true, Detail: fmt.Sprintf("%s free of %s", size(free), size(total))},
		checkFile("ONNX Runtime library", c.Library, true, "run `make setup` or name the library with SCRY_ORT_LIBRARY"),
		checkFile("OpenVINO plugin", c.OpenVINO, false, "not installed: set-up fetches it"),
	}
	checks = append(checks, checkNVIDIA(c)...)

	r, err := Open(c)
	if err != nil {
		return append(checks, Check{Name: "ONNX Runtime", Required: true, Detail: err.Error()})
	}
	defer func() { _ = r.Close() }()
	checks = append(checks, Check{Name: "ONNX Runtime", OK: true, Required: true, Detail: "version " + r.Version() + ", telemetry off"})
	for _, d := range r.Devices() {
		checks = append(checks, r.checkDevice(ctx, d))
	}
	return checks
}

// checkFile names the file but not its folder: a diagnosis is pasted into
// tickets.
func checkFile(name, path string, required bool, help string) Check {
	c := Check{Name: name, Required: required, Detail: help}
	if path == "" {
		return c
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.Detail = filepath.Base(path) + " is missing: " + help
	case !info.Mode().IsRegular():
		c.Detail = filepath.Base(path) + " is not a file: " + help
	default:
		c.OK, c.Detail = true, fmt.Sprintf("%s, %s", filepath.Base(path), size(info.Size()))
	}
	return c
}

// checkNVIDIA tells what there is of driver, GPUs, provider and libraries,
// without loading the provider.
func checkNVIDIA(c Config) []Check {
	driver := Check{Name: "NVIDIA driver"}
	version, err := driverVersion()
	if err == nil {
		driver.Detail = version
		err = checkDriver(version)
	}
	if err != nil {
		driver.Detail = err.Error()
		return []Check{driver}
	}
	driver.OK = true

	provider := checkFile("CUDA provider", cudaProviderLibrary(c), false, "this ONNX Runtime is the build without CUDA: run `make setup` again")
	libraries := Check{Name: "CUDA libraries", OK: true}
	var found, missing []string
	for _, lib := range cudaLibraries {
		switch path := findCUDALibrary(c.NVIDIA, lib.name); {
		case path != "":
			found = append(found, lib.name)
		case !lib.optional:
			missing = append(missing, lib.name)
		}
	}
	switch {
	case c.NVIDIA == "":
		libraries.Detail = "taken from the system's loader"
	case len(missing) > 0:
		libraries.OK, libraries.Detail = false, "missing: "+strings.Join(missing, ", ")
	default:
		libraries.Detail = strings.Join(found, ", ")
	}
	return []Check{driver, provider, libraries}
}

// sample computes x·w + b: [1,2,3] gives [22.5,27.5].
//
//go:embed gputest/testdata/matmul.onnx
var sample []byte

// checkDevice runs the sample on a device.
func (r *Runtime) checkDevice(ctx context.Context, d Device) Check {
	c := Check{Name: "device " + d.ID, Required: d.Provider == CPU}
	if !d.Available {
		c.Detail = d.Reason
		return c
	}
	if err := r.runSample(ctx, d); err != nil {
		c.Detail = err.Error()
		return c
	}
	var precisions []string
	for _, p := range d.Precisions {
		precisions = append(precisions, string(p))
	}
	c.OK = true
	c.Detail = fmt.Sprintf("%s, %s free of %s, %s", d.Name, size(d.MemoryFree), size(d.MemoryTotal), strings.Join(precisions, " and "))
	return c
}

func (r *Runtime) runSample(ctx context.Context, d Device) (err error) {
	dir, err := os.MkdirTemp("", "scry-doctor-")
	if err != nil {
		return errors.New("no temporary folder can be made")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "sample.onnx")
	if err := os.WriteFile(path, sample, 0o600); err != nil {
		return errors.New("no temporary file can be written")
	}
	s, err := r.Load(ctx, Spec{Path: path, Devices: []string{d.ID}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := tensor.From([]float32{1, 2, 3}, 1, 3)
	if err != nil {
		return err
	}
	out, err := s.Run(ctx, []tensor.Tensor{x})
	if err != nil {
		return err
	}
	if y := tensor.View[float32](out[0]); len(y) != 2 || y[0] != 22.5 || y[1] != 27.5 {
		return fmt.Errorf("the device computes wrongly: %v instead of [22.5 27.5]", y)
	}
	return nil
}

// size prints bytes in binary units.
func size(n int64) string {
	switch {
	case n <= 0:
		return "unknown"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
