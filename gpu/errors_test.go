package gpu

import (
	"errors"
	"strings"
	"testing"
)

func TestSanitize(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{
			"[ONNXRuntimeError] : 1 : FAIL : Load model from /home/ann/models/churn/model.onnx failed:Fatal error: ai.x:Foo(-1) is not a registered function/op",
			"Load model from (path) failed:Fatal error: ai.x:Foo(-1) is not a registered function/op",
		},
		{
			"/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:368 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 4096",
			"Failed to allocate memory for requested buffer of size 4096",
		},
		{
			"Non-zero status code returned while running Gather node. Name:'g' Status Message: indices element out of data bounds, idx=10 must be within the inclusive range [-10,9]",
			"Non-zero status code returned while running Gather node. Name:'g' Status Message: indices element out of data bounds, idx=10 must be within the inclusive range [-10,9]",
		},
		{
			"Exception from src/inference/src/cpp/core.cpp:133: Check 'a::b(c)' failed at src/plugins/x.cpp:12:\nnot supported",
			"not supported",
		},
		{
			"CUDA failure 2: out of memory ; GPU=0 ; hostname=gpu-7.example ; file=/onnxruntime_src/a.cc ; line=17 ; expr=cudaMalloc",
			"CUDA failure 2: out of memory",
		},
		{
			"broken\nStacktrace:\n#0 f() at x.cc:1",
			"broken",
		},
		{
			"filesystem error: cannot open ../up/one.bin, /tmp/a b/c.onnx and \"/srv/x\" and 3/4 of it",
			"filesystem error: cannot open (path), (path) b/c.onnx and \"(path)\" and 3/4 of it",
		},
		{"", "no reason given"},
		{"\n \t", "no reason given"},
		{"bad \xff byte", "bad � byte"},
	} {
		if got := sanitize(c.in); got != c.want {
			t.Errorf("sanitize(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
	long := sanitize(strings.Repeat("я", 1000))
	if len(long) > maxMessage+len("…") || !strings.HasSuffix(long, "я…") {
		t.Errorf("a long message is cut to %d bytes, ending in %q", len(long), long[len(long)-8:])
	}
}

func TestErrorKinds(t *testing.T) {
	arena := "x.cc:1 Failed to allocate memory for requested buffer of size 123456"
	for _, c := range []struct {
		name string
		err  error
		is   []error
		not  []error
	}{
		{"bad values", runError(CPU, codeInvalidArgument, "idx=10"), []error{ErrRun, ErrInput}, []error{ErrOutOfMemory}},
		{"failed run", runError(CPU, 1, "division by zero"), []error{ErrRun}, []error{ErrInput, ErrOutOfMemory}},
		{"arena", runError(CPU, 1, arena), []error{ErrOutOfMemory}, []error{ErrRun}},
		{"arena at load", loadError("cuda:0", arena), []error{ErrOutOfMemory}, []error{ErrModel}},
		{"cuda", runError("cuda:0", 1, "CUDA failure 2: out of memory ; GPU=0"), []error{ErrOutOfMemory}, nil},
		{"cublas", runError("cuda:0", 1, "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"), []error{ErrOutOfMemory}, nil},
		{"new", loadError(CPU, "std::bad_alloc"), []error{ErrOutOfMemory}, nil},
		{"graph", loadError(CPU, "Protobuf parsing failed."), []error{ErrModel}, []error{ErrOutOfMemory}},
	} {
		for _, want := range c.is {
			if !errors.Is(c.err, want) {
				t.Errorf("%s: %v is not %v", c.name, c.err, want)
			}
		}
		for _, not := range c.not {
			if errors.Is(c.err, not) {
				t.Errorf("%s: %v is %v", c.name, c.err, not)
			}
		}
	}
	var memory *MemoryError
	if err := runError("cuda:1", 1, arena); !errors.As(err, &memory) || memory.Needed != 123456 || memory.Device != "cuda:1" {
		t.Errorf("the arena's error tells %+v", memory)
	}
}

func TestLostContext(t *testing.T) {
	for msg, want := range map[string]bool{
		"CUDA failure 700: an illegal memory access was encountered": true,
		"CUDA failure 719: unspecified launch failure":               true,
		"CUDA error 710":                        true,
		"CUDA failure 2: out of memory":         false,
		"CUDA failure 7001":                     false,
		"indices element out of bounds, id 700": false,
	} {
		if got := lostContext.MatchString(msg); got != want {
			t.Errorf("%q: %t, want %t", msg, got, want)
		}
	}
}
