package gpu

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// openVINOProvider is Intel's plugin.
type openVINOProvider struct {
	devices map[string]openVINODevice // by Device.ID
}

type openVINODevice struct {
	handle ort.EpDevice
	name   string // OpenVINO's own: "CPU"
}

const (
	openVINOName  = "OpenVINOExecutionProvider"
	openVINONodes = 5000
)

// openOpenVINO registers the plugin and lists its devices. Only the CPU is
// offered: no OpenVINO GPU or NPU has been tested.
func openOpenVINO(c Config) []*device {
	id := OpenVINO + ":" + CPU
	unavailable := func(reason string) []*device {
		return []*device{{Device: Device{ID: id, Provider: OpenVINO, Name: cpuName(), Reason: reason}}}
	}
	if c.OpenVINO == "" {
		return unavailable("the OpenVINO plugin is not installed or not configured")
	}
	if _, err := os.Stat(c.OpenVINO); err != nil {
		return unavailable("the OpenVINO plugin library is missing")
	}
	if !process.plugins[c.OpenVINO] {
		err := keepSignals(func() error {
			return ort.RegisterExecutionProviderLibrary("scry:"+c.OpenVINO, c.OpenVINO)
		})
		if err != nil {
			return unavailable("the OpenVINO plugin cannot be registered: " + sanitize(err.Error()))
		}
		process.plugins[c.OpenVINO] = true
	}
	p := &openVINOProvider{devices: map[string]openVINODevice{}}
	found, err := ort.GetEpDevices()
	if err != nil {
		return unavailable("the OpenVINO plugin lists no devices: " + sanitize(err.Error()))
	}
	for _, handle := range found {
		if handle.EpName() != openVINOName {
			continue
		}
		if kind, _, name := epDevice(handle); kind == CPU {
			p.devices[id] = openVINODevice{handle, name}
		}
	}
	if len(p.devices) == 0 {
		return unavailable("the OpenVINO plugin does not know this CPU")
	}
	d := Device{ID: id, Provider: OpenVINO, Name: cpuName(), Available: true, Precisions: []Precision{F32}}
	if hasBF16(cpuInfo("flags")) {
		d.Precisions = append(d.Precisions, BF16)
	}
	p.refresh(&d)
	return []*device{{Device: d, provider: p}}
}

// hasBF16 tells from the CPU's flags whether bfloat16 is faster than float32
// and not emulated.
func hasBF16(flags string) bool {
	have := strings.Fields(flags)
	return slices.Contains(have, "amx_bf16") || slices.Contains(have, "avx512_bf16")
}

func (p *openVINOProvider) options(o *ort.SessionOptions, d *device, spec Spec, _ *modelFile, threads int) (Precision, error) {
	precision := d.Coarsest(spec.Precision)
	at := p.devices[d.ID]
	// The plugin passes this on to OpenVINO as the device's properties.
	properties, err := json.Marshal(map[string]map[string]string{
		at.name: {
			"INFERENCE_PRECISION_HINT": string(precision),
			"INFERENCE_NUM_THREADS":    strconv.Itoa(threads * max(spec.Runs, 1)),
			"NUM_STREAMS":              strconv.Itoa(max(spec.Runs, 1)),
		},
	})
	if err != nil {
		return "", err
	}
	err = o.AppendExecutionProviderV2([]ort.EpDevice{at.handle}, map[string]string{"load_config": string(properties)})
	if err != nil {
		return "", fmt.Errorf("OpenVINO refuses its options: %w", err)
	}
	return precision, nil
}

// refuses: OpenVINO takes a loop as one operator, which cannot be terminated,
// takes an input of unknown rank for a scalar, and corrupts memory with tensors
// of strings (plugin 1.8.1). Its compiler cannot be interrupted and takes time
// with the square of the operators: 9 s for a chain of 2,000.
func (p *openVINOProvider) refuses(m *modelFile) string {
	switch {
	case m.nodes > openVINONodes:
		return fmt.Sprintf("a graph of more than %d operators would take too long to compile there", openVINONodes)
	case m.loops:
		return "a graph with loops could not be terminated there"
	case m.norank:
		return "an input of unknown rank does not run there"
	case m.text:
		return "a graph with strings or classical learning does not run there"
	}
	return ""
}

// need: ONNX Runtime's weights, the plugin's copy of the model, and OpenVINO's
// own packed weights.
func (p *openVINOProvider) need(m *modelFile) int64 { return 2*m.weights + m.weights/8 + m.inline }

func (p *openVINOProvider) refresh(d *Device) { d.MemoryTotal, d.MemoryFree = hostMemory() }
func (p *openVINOProvider) name() string      { return openVINOName }
