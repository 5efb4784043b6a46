package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"
)

// cudaProvider is ONNX Runtime's for NVIDIA GPUs.
type cudaProvider struct {
	hardware map[string]cudaHardware // by Device.ID
	index    map[string]int          // the provider's device_id
}

// lostContext matches CUDA errors after which no call of this process on the
// device succeeds: illegal addresses and instructions, failed asserts and
// launches.
var lostContext = regexp.MustCompile(`CUDA (?:failure|error) (?:700|702|710|71[4-9]|720)\b`)

// openCUDA lists the GPUs. With none, or when the provider cannot work, there
// is still a device that says why.
func openCUDA(c Config) []*device {
	none := func(err error) []*device {
		return []*device{{Device: Device{ID: CUDA + ":0", Provider: CUDA, Reason: err.Error()}}}
	}
	version, err := driverVersion()
	if err == nil {
		err = checkDriver(version)
	}
	if err != nil {
		return none(err)
	}
	var found []cudaHardware
	err = keepSignals(func() (err error) {
		found, err = cudaDevices()
		return err
	})
	if err != nil {
		return none(err)
	}
	reason := ""
	if err := keepSignals(func() error { return loadCUDAProvider(c) }); err != nil {
		reason = err.Error()
	}
	p := &cudaProvider{hardware: map[string]cudaHardware{}, index: map[string]int{}}
	var out []*device
	for i, h := range found {
		id := CUDA + ":" + strconv.Itoa(i)
		p.hardware[id], p.index[id] = h, i
		d := Device{
			ID: id, Provider: CUDA, Name: h.name, MemoryTotal: h.total,
			Available: reason == "", Reason: reason, Precisions: []Precision{F32},
		}
		if h.major < 7 || h.major == 7 && h.minor < 5 {
			d.Available = false
			d.Reason = fmt.Sprintf("compute capability %d.%d, CUDA 13 needs 7.5 or newer", h.major, h.minor)
		}
		if h.major >= 8 { // Ampere and later have TF32
			d.Precisions = append(d.Precisions, TF32)
		}
		p.refresh(&d)
		out = append(out, &device{Device: d, provider: p})
	}
	return out
}

// loadCUDAProvider loads the provider and all that it needs.
func loadCUDAProvider(c Config) error {
	if _, err := os.Stat(cudaProviderLibrary(c)); err != nil {
		return errors.New("this ONNX Runtime is the build without CUDA (there is no libonnxruntime_providers_cuda.so beside it)")
	}
	if err := loadCUDALibraries(c.NVIDIA); err != nil {
		return err
	}
	options, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return fmt.Errorf("the CUDA provider cannot be used: %s", sanitize(err.Error()))
	}
	defer func() { _ = options.Destroy() }()
	// Reading a device number is what loads the provider and asks CUDA for devices.
	if err := options.Update(map[string]string{"device_id": "0"}); err != nil {
		return fmt.Errorf("the CUDA provider cannot be loaded: %s", sanitize(err.Error()))
	}
	return nil
}

// cudaProviderLibrary is where ONNX Runtime looks for its CUDA provider.
func cudaProviderLibrary(c Config) string {
	return filepath.Join(filepath.Dir(c.Library), "libonnxruntime_providers_cuda.so")
}

func (p *cudaProvider) options(o *ort.SessionOptions, d *device, spec Spec, m *modelFile, _ int) (Precision, error) {
	precision, tf32 := d.Coarsest(spec.Precision), "0"
	if precision == TF32 {
		tf32 = "1"
	}
	set := map[string]string{
		"device_id": strconv.Itoa(p.index[d.ID]),
		// The arena grows by what is asked for and not by doubling, so that several
		// models share a device.
		"arena_extend_strategy": "kSameAsRequested",
		"use_tf32":              tf32,
		// The default tries every algorithm for every new shape: seconds each.
		"cudnn_conv_algo_search": "HEURISTIC",
	}
	if spec.MemoryLimit > 0 {
		// The weights lie outside the arena that this bounds.
		set["gpu_mem_limit"] = strconv.FormatInt(max(spec.MemoryLimit-m.weights, 1<<20), 10)
	}
	options, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return "", err
	}
	defer func() { _ = options.Destroy() }()
	if err := options.Update(set); err != nil {
		return "", err
	}
	return precision, o.AppendExecutionProviderCUDA(options)
}

func (p *cudaProvider) refuses(*modelFile) string { return "" }

// need: the weights are certain; contexts and workspaces come on top.
func (p *cudaProvider) need(m *modelFile) int64 { return m.weights }

func (p *cudaProvider) refresh(d *Device) {
	if total, free, ok := cudaMemory(p.hardware[d.ID].bus); ok {
		d.MemoryTotal, d.MemoryFree = total, free
	}
}

func (p *cudaProvider) name() string { return "CUDAExecutionProvider" }
