package gpu

// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"errors"
	"sync"
	"unsafe"
)

// signals guards the saved signal handlers: one load at a time.
var signals sync.Mutex

// keepSignals runs f and puts back the process's signal handlers afterwards.
// The CUDA provider installs its own without SA_ONSTACK, on which a Go program
// dies at the next signal (onnxruntime_go issue 140).
func keepSignals(f func() error) error {
	signals.Lock()
	defer signals.Unlock()
	C.scry_signals_save()
	defer C.scry_signals_restore()
	return f()
}

// loadGlobal loads a shared library by its absolute path for the libraries
// that come after it.
func loadGlobal(path string) error {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var why [512]C.char
	if C.scry_load_global(p, &why[0], C.size_t(len(why))) != 0 {
		return errors.New(C.GoString(&why[0]))
	}
	return nil
}
