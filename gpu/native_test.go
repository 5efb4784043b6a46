package gpu

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// kernelAction is the kernel's struct sigaction on linux/amd64 and arm64.
type kernelAction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

func action(t *testing.T, sig syscall.Signal, set *kernelAction) (old kernelAction) {
	t.Helper()
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(old.mask), 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return old
}

// TestKeepSignals changes a signal's handler as the CUDA provider does, and
// expects Go's back.
func TestKeepSignals(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's structure is Linux's")
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR2)
	defer signal.Stop(got)
	before := action(t, syscall.SIGUSR2, nil)
	want := errors.New("passed on")
	err := keepSignals(func() error {
		const ignore = 1 // SIG_IGN
		action(t, syscall.SIGUSR2, &kernelAction{handler: ignore})
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("keepSignals returns %v", err)
	}
	after := action(t, syscall.SIGUSR2, nil)
	const onStack = 0x08000000
	if after.handler != before.handler || after.flags&onStack == 0 {
		t.Fatalf("the handler is %#x with flags %#x, was %#x", after.handler, after.flags, before.handler)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(5 * time.Second):
		t.Error("Go receives the signal no more")
	}
}

func TestCheckDriver(t *testing.T) {
	for version, ok := range map[string]bool{
		"580.65.06": true, "580": true, "595.1": true,
		"575.57.08": false, "99.0": false, "": false, "new": false,
	} {
		if err := checkDriver(version); (err == nil) != ok {
			t.Errorf("driver %q: %v", version, err)
		}
	}
}

func TestFindCUDALibrary(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "cu13", "lib", "libcudart.so.13")
	write(t, want, "")
	if got := findCUDALibrary(dir, "libcudart.so.13"); got != want {
		t.Errorf("found %q", got)
	}
	if got := findCUDALibrary(dir, "libcudnn.so.9"); got != "" {
		t.Errorf("found %q", got)
	}
	if got := findCUDALibrary("", "libcudnn.so.9"); got != "libcudnn.so.9" {
		t.Errorf("without a folder: %q", got)
	}
	if err := loadCUDALibraries(dir); err == nil {
		t.Error("an empty file loads as a library")
	}
}

func TestFindRuntime(t *testing.T) {
	dir := t.TempDir()
	if c := FindRuntime(dir); c.Library != "" || c.OpenVINO != "" || c.NVIDIA != "" {
		t.Errorf("found %+v in an empty folder", c)
	}
	for _, f := range []string{
		"onnxruntime/libonnxruntime.so.1.31.1", "openvino/libonnxruntime_providers_openvino_plugin.so",
		"nvidia/cu13/lib/libcudart.so.13",
	} {
		write(t, filepath.Join(dir, f), "")
	}
	want := Config{
		Library:  filepath.Join(dir, "onnxruntime/libonnxruntime.so.1.31.1"),
		OpenVINO: filepath.Join(dir, "openvino/libonnxruntime_providers_openvino_plugin.so"),
		NVIDIA:   filepath.Join(dir, "nvidia"),
	}
	if c := FindRuntime(dir); c != want {
		t.Errorf("found %+v, want %+v", c, want)
	}
}

func TestHasBF16(t *testing.T) {
	for flags, want := range map[string]bool{
		"fpu avx512f avx512_bf16": true, "fpu amx_bf16 amx_tile": true, "fpu avx512f avx2": false, "": false,
	} {
		if hasBF16(flags) != want {
			t.Errorf("%q", flags)
		}
	}
}

func TestCoarsest(t *testing.T) {
	cuda := Device{Precisions: []Precision{F32, TF32}}
	amx := Device{Precisions: []Precision{F32, BF16}}
	for _, c := range []struct {
		d        Device
		admitted Precision
		want     Precision
	}{
		{cuda, "", F32}, {cuda, F32, F32}, {cuda, TF32, TF32}, {cuda, BF16, TF32},
		{amx, F32, F32}, {amx, TF32, F32}, {amx, BF16, BF16}, {Device{}, BF16, F32},
	} {
		if got := c.d.Coarsest(c.admitted); got != c.want {
			t.Errorf("%v admitting %q: %s, want %s", c.d.Precisions, c.admitted, got, c.want)
		}
	}
}
