package gpu

import (
	"os"
	"runtime"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// cpuProvider is ONNX Runtime's own, always there.
type cpuProvider struct{}

func openCPU() []*device {
	d := Device{ID: CPU, Provider: CPU, Name: cpuName(), Available: true, Precisions: []Precision{F32}}
	cpuProvider{}.refresh(&d)
	return []*device{{Device: d, provider: cpuProvider{}}}
}

func (cpuProvider) options(o *ort.SessionOptions, _ *device, _ Spec, _ *modelFile, _ int) (Precision, error) {
	return F32, o.SetCpuMemArena(true)
}

func (cpuProvider) refuses(*modelFile) string { return "" }

// need: weights plus the copies of some of them that are packed for the kernels.
func (cpuProvider) need(m *modelFile) int64 { return m.weights + m.weights/4 }

func (cpuProvider) refresh(d *Device) { d.MemoryTotal, d.MemoryFree = hostMemory() }
func (cpuProvider) name() string      { return "CPUExecutionProvider" }

// cpuName is the processor's model name.
func cpuName() string {
	if name := cpuInfo("model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

// cpuInfo returns the first value of a field of /proc/cpuinfo.
func cpuInfo(field string) string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
