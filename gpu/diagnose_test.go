package gpu

import (
	"context"
	"strings"
	"testing"
)

func TestDiagnose(t *testing.T) {
	r := benchRuntime(t)
	c := r.config
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]Check{}
	for _, check := range Diagnose(context.Background(), c) {
		t.Logf("%+v", check)
		if check.Detail == "" {
			t.Errorf("%s says nothing", check.Name)
		}
		if check.Required && !check.OK {
			t.Errorf("%s: %s", check.Name, check.Detail)
		}
		seen[check.Name] = check
	}
	for _, name := range []string{"processor", "memory", "ONNX Runtime", "NVIDIA driver", "device cpu", "device openvino:cpu", "device cuda:0"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("nothing about %s", name)
		}
	}
}

// TestDiagnoseNothing: without any library there is still a full answer.
func TestDiagnoseNothing(t *testing.T) {
	failed := map[string]bool{}
	for _, check := range Diagnose(context.Background(), Config{Library: "/absent/libonnxruntime.so"}) {
		if check.Required && !check.OK {
			failed[check.Name] = true
		}
		if strings.Contains(check.Detail, "/absent") {
			t.Errorf("%s shows a path: %s", check.Name, check.Detail)
		}
	}
	if !failed["ONNX Runtime library"] || !failed["ONNX Runtime"] {
		t.Errorf("failed checks: %v", failed)
	}
}
