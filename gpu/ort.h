// The part of ONNX Runtime's C API that the Go binding does not reach: running
// a session on values that are built and read here, and asking a session and a
// provider about themselves.

#ifndef SCRY_GPU_ORT_H
#define SCRY_GPU_ORT_H

#include "onnxruntime_c_api.h"

#define SCRY_MAX_RANK 16

// scry_tensor is one input or output of a run. It lies in C memory. What points
// into Go's memory (pinned, of inputs and bound outputs) is a number to Go:
// writing a pointer over one of an earlier run would show that one, freed
// since, to the garbage collector.
typedef struct {
  int32_t type;  // ONNXTensorElementDataType; -1 for an output that is no tensor
  int32_t rank;
  int64_t shape[SCRY_MAX_RANK];
  uintptr_t memory;   // Go's: elements; for strings the joined bytes of all elements, of a dictionary each with a 0 after it
  uintptr_t lengths;  // Go's: string inputs: bytes of each element, a size_t; of a dictionary with the 0
  uintptr_t codes;    // Go's: string inputs by dictionary: places in it, a uint32_t each; else 0
  size_t entries;     // of the dictionary
  void *data;         // elements of outputs that are not bound, in value
  size_t bytes;       // of memory or data
  size_t elements;    // strings: number of elements
  int32_t bound;      // outputs: the run writes into memory, of this type and shape
  int32_t keep;       // inputs by dictionary: keep the value for the next run of this shape
  OrtValue *value;
  OrtValue *kept;  // NULL without one
  int64_t kept_shape[SCRY_MAX_RANK];
  int32_t kept_rank;
} scry_tensor;

// scry_call is all that one run needs, made once and used again.
typedef struct {
  size_t n_inputs, n_outputs;
  const char **input_names, **output_names;  // shared by all calls of a session
  scry_tensor *inputs, *outputs;
  const char **pointers;  // scratch: of a dictionary's entries, then of the elements
  size_t n_pointers;
  const OrtValue **in_values;
  OrtValue **out_values;
  int32_t held;  // the last run left outputs that scry_call_reset frees
} scry_call;

// scry_ort_open finds the API of an ONNX Runtime library that is loaded
// already. NULL on success, else what is wrong.
const char *scry_ort_open(const char *path);

scry_call *scry_call_new(size_t n_inputs, const char **input_names, size_t n_outputs, const char **output_names);
void scry_call_free(scry_call *c);

// scry_call_run creates the values, runs, frees them, and describes the outputs
// that are not bound, which stay valid until scry_call_reset.
OrtStatus *scry_call_run(scry_call *c, OrtSession *s, const OrtRunOptions *o);
void scry_call_reset(scry_call *c);

// scry_strings copies a string output: all bytes joined, and where each
// element begins.
OrtStatus *scry_strings(const OrtValue *v, void *bytes, size_t n_bytes, size_t *offsets, size_t n_offsets);

int scry_error_code(const OrtStatus *s);
const char *scry_error_message(const OrtStatus *s);
void scry_release_status(OrtStatus *s);

// scry_value_info describes input or output i of a session. The name belongs
// to the caller (scry_free_string). dims are the axes' symbolic names, NULL
// without one; they belong to the caller (free).
OrtStatus *scry_session_counts(const OrtSession *s, size_t *inputs, size_t *outputs);
OrtStatus *scry_value_info(const OrtSession *s, int output, size_t i, char **name, int32_t *onnx_type, int32_t *type,
                           int32_t *rank, int64_t *shape, char **dims);
void scry_free_string(char *s);

// scry_assigned_nodes counts the nodes of a session by whether the provider
// runs them.
OrtStatus *scry_assigned_nodes(const OrtSession *s, const char *provider, size_t *on, size_t *all);

void scry_cancel_load(OrtSessionOptions *o);

// Kind and name of the hardware behind a plugin's device; type is an
// OrtHardwareDeviceType.
void scry_ep_device(const OrtEpDevice *d, int32_t *type, const char **vendor, const char **ov_device);

#endif
