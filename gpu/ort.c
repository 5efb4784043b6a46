#define _GNU_SOURCE
#include "ort.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const OrtApi *api;
static OrtAllocator *allocator;
static OrtMemoryInfo *cpu;

const char *scry_ort_open(const char *path) {
  // The handle is never closed: see process in runtime.go.
  void *lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!lib) return "the library cannot be loaded";
  const OrtApiBase *(*base)(void) = (const OrtApiBase *(*)(void))dlsym(lib, "OrtGetApiBase");
  if (!base) return "the library is not ONNX Runtime";
  const OrtApi *found = base()->GetApi(ORT_API_VERSION);
  if (!found) return "the library is older than this program";
  if (found == api) return NULL;
  api = found;
  cpu = NULL;
  OrtStatus *s = api->GetAllocatorWithDefaultOptions(&allocator);
  if (!s) s = api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &cpu);
  if (s) {
    api->ReleaseStatus(s);
    api = NULL;
    return "the library gives no CPU memory";
  }
  return NULL;
}

int scry_error_code(const OrtStatus *s) { return (int)api->GetErrorCode(s); }
const char *scry_error_message(const OrtStatus *s) { return api->GetErrorMessage(s); }
void scry_release_status(OrtStatus *s) { api->ReleaseStatus(s); }
void scry_free_string(char *s) { allocator->Free(allocator, s); }

scry_call *scry_call_new(size_t n_inputs, const char **input_names, size_t n_outputs, const char **output_names) {
  scry_call *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->n_inputs = n_inputs;
  c->n_outputs = n_outputs;
  c->input_names = input_names;
  c->output_names = output_names;
  // One more of each, so that a graph without inputs gives no null arrays.
  c->inputs = calloc(n_inputs + 1, sizeof *c->inputs);
  c->outputs = calloc(n_outputs + 1, sizeof *c->outputs);
  c->in_values = calloc(n_inputs + 1, sizeof *c->in_values);
  c->out_values = calloc(n_outputs + 1, sizeof *c->out_values);
  if (!c->inputs || !c->outputs || !c->in_values || !c->out_values) {
    scry_call_free(c);
    return NULL;
  }
  return c;
}

void scry_call_reset(scry_call *c) {
  for (size_t i = 0; i < c->n_outputs; i++) {
    if (c->out_values[i]) api->ReleaseValue(c->out_values[i]);
    c->out_values[i] = NULL;
    c->outputs[i].value = NULL;
  }
  c->held = 0;
}

void scry_call_free(scry_call *c) {
  for (size_t i = 0; c->inputs && i < c->n_inputs; i++)
    if (c->inputs[i].kept) api->ReleaseValue(c->inputs[i].kept);
  free(c->pointers);
  free(c->inputs);
  free(c->outputs);
  free(c->in_values);
  free(c->out_values);
  free(c);
}

// make_coded makes a string tensor by a dictionary, all elements in one call. The
// value of the run before is filled again where it has the same shape: making
// and freeing strings took more time than the run of a small graph.
static OrtStatus *make_coded(scry_call *c, scry_tensor *t) {
  size_t want = t->entries + t->elements;
  if (c->n_pointers < want) {
    const char **grown = realloc(c->pointers, want * sizeof *grown);
    if (!grown) return api->CreateStatus(ORT_FAIL, "no memory for the strings of an input");
    c->pointers = grown;
    c->n_pointers = want;
  }
  const char **entries = c->pointers, **elements = c->pointers + t->entries;
  const char *at = (const char *)t->memory;
  const size_t *lengths = (const size_t *)t->lengths;
  for (size_t i = 0; i < t->entries; at += lengths[i++]) entries[i] = at;
  const uint32_t *codes = (const uint32_t *)t->codes;
  for (size_t i = 0; i < t->elements; i++) elements[i] = entries[codes[i]];

  OrtStatus *s = NULL;
  if (t->kept && t->kept_rank == t->rank && !memcmp(t->kept_shape, t->shape, (size_t)t->rank * sizeof *t->shape)) {
    t->value = t->kept;
    t->kept = NULL;
  } else {
    s = api->CreateTensorAsOrtValue(allocator, t->shape, (size_t)t->rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &t->value);
  }
  return s ? s : api->FillStringTensor(t->value, elements, t->elements);
}

// drop_input frees an input's value after a run, or keeps it for the next.
static void drop_input(scry_tensor *t) {
  if (!t->value) return;
  if (t->codes && t->keep) {
    if (t->kept) api->ReleaseValue(t->kept);
    t->kept = t->value;
    t->kept_rank = t->rank;
    memcpy(t->kept_shape, t->shape, sizeof t->shape);
  } else {
    api->ReleaseValue(t->value);
  }
  t->value = NULL;
}

static OrtStatus *make_value(scry_call *c, scry_tensor *t) {
  static int64_t nothing;  // what an empty tensor points to
  OrtStatus *s;
  if (t->type != ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING)
    return api->CreateTensorWithDataAsOrtValue(cpu, t->bytes ? (void *)t->memory : &nothing, t->bytes, t->shape, (size_t)t->rank,
                                               (ONNXTensorElementDataType)t->type, &t->value);
  if (t->codes) return make_coded(c, t);
  s = api->CreateTensorAsOrtValue(allocator, t->shape, (size_t)t->rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &t->value);
  const char *from = (const char *)t->memory;
  const size_t *lengths = (const size_t *)t->lengths;
  for (size_t i = 0; !s && i < t->elements; i++) {
    char *to = NULL;
    s = api->GetResizedStringTensorElementBuffer(t->value, i, lengths[i], &to);
    if (!s && lengths[i]) memcpy(to, from, lengths[i]);
    from += lengths[i];
  }
  return s;
}

static OrtStatus *describe_output(OrtValue *v, scry_tensor *t) {
  enum ONNXType kind;
  OrtStatus *s = api->GetValueType(v, &kind);
  if (s) return s;
  t->value = v;
  if (kind != ONNX_TYPE_TENSOR) {
    t->type = -1;
    return NULL;
  }
  OrtTensorTypeAndShapeInfo *info = NULL;
  if ((s = api->GetTensorTypeAndShape(v, &info))) return s;
  ONNXTensorElementDataType type;
  size_t rank = 0;
  s = api->GetTensorElementType(info, &type);
  if (!s) s = api->GetDimensionsCount(info, &rank);
  if (!s && rank > SCRY_MAX_RANK) s = api->CreateStatus(ORT_FAIL, "an output has more than 16 axes");
  if (!s) s = api->GetDimensions(info, t->shape, rank);
  if (!s) s = api->GetTensorShapeElementCount(info, &t->elements);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (s) return s;
  t->type = (int32_t)type;
  t->rank = (int32_t)rank;
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) return api->GetStringTensorDataLength(v, &t->bytes);
  if ((s = api->GetTensorSizeInBytes(v, &t->bytes))) return s;
  return api->GetTensorMutableData(v, &t->data);
}

OrtStatus *scry_call_run(scry_call *c, OrtSession *session, const OrtRunOptions *options) {
  OrtStatus *s = NULL;
  for (size_t i = 0; !s && i < c->n_inputs; i++) {
    s = make_value(c, &c->inputs[i]);
    c->in_values[i] = c->inputs[i].value;
  }
  for (size_t i = 0; !s && i < c->n_outputs; i++) {
    if (!c->outputs[i].bound) continue;
    s = make_value(c, &c->outputs[i]);
    c->out_values[i] = c->outputs[i].value;
  }
  if (!s)
    s = api->Run(session, options, c->input_names, c->in_values, c->n_inputs, c->output_names, c->n_outputs,
                 c->out_values);
  for (size_t i = 0; i < c->n_inputs; i++) drop_input(&c->inputs[i]);
  for (size_t i = 0; i < c->n_outputs; i++) {
    if (c->outputs[i].bound && c->out_values[i]) {
      api->ReleaseValue(c->out_values[i]);
      c->out_values[i] = NULL;
      c->outputs[i].value = NULL;
    } else if (c->out_values[i]) {
      c->held = 1;
      if (!s) s = describe_output(c->out_values[i], &c->outputs[i]);
    }
  }
  if (s) scry_call_reset(c);
  return s;
}

OrtStatus *scry_strings(const OrtValue *v, void *bytes, size_t n_bytes, size_t *offsets, size_t n_offsets) {
  return api->GetStringTensorContent(v, bytes, n_bytes, offsets, n_offsets);
}

OrtStatus *scry_session_counts(const OrtSession *s, size_t *inputs, size_t *outputs) {
  OrtStatus *st = api->SessionGetInputCount(s, inputs);
  return st ? st : api->SessionGetOutputCount(s, outputs);
}

OrtStatus *scry_value_info(const OrtSession *session, int output, size_t i, char **name, int32_t *onnx_type,
                           int32_t *type, int32_t *rank, int64_t *shape, char **dims) {
  OrtStatus *s = output ? api->SessionGetOutputName(session, i, allocator, name)
                        : api->SessionGetInputName(session, i, allocator, name);
  if (s) return s;
  OrtTypeInfo *info = NULL;
  s = output ? api->SessionGetOutputTypeInfo(session, i, &info) : api->SessionGetInputTypeInfo(session, i, &info);
  if (s) return s;
  enum ONNXType kind = ONNX_TYPE_UNKNOWN;
  s = api->GetOnnxTypeFromTypeInfo(info, &kind);
  *onnx_type = (int32_t)kind;
  *type = 0;
  *rank = -1;
  const OrtTensorTypeAndShapeInfo *t = NULL;
  if (!s && kind == ONNX_TYPE_TENSOR) s = api->CastTypeInfoToTensorInfo(info, &t);
  if (!s && t) {
    ONNXTensorElementDataType e = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t n = 0;
    s = api->GetTensorElementType(t, &e);
    *type = (int32_t)e;
    if (!s && api->TensorTypeAndShape_HasShape(t)) {
      s = api->GetDimensionsCount(t, &n);
      if (!s && n > SCRY_MAX_RANK) s = api->CreateStatus(ORT_FAIL, "a tensor has more than 16 axes");
      if (!s) s = api->GetDimensions(t, shape, n);
      const char *names[SCRY_MAX_RANK] = {0};
      if (!s) s = api->GetSymbolicDimensions(t, names, n);
      for (size_t k = 0; !s && k < n; k++) dims[k] = names[k] && *names[k] ? strdup(names[k]) : NULL;
      *rank = (int32_t)n;
    }
  }
  api->ReleaseTypeInfo(info);
  return s;
}

OrtStatus *scry_assigned_nodes(const OrtSession *session, const char *provider, size_t *on, size_t *all) {
  const OrtEpAssignedSubgraph *const *graphs = NULL;
  size_t n = 0;
  *on = *all = 0;
  OrtStatus *s = api->Session_GetEpGraphAssignmentInfo(session, &graphs, &n);
  for (size_t i = 0; !s && i < n; i++) {
    const char *ep = NULL;
    const OrtEpAssignedNode *const *nodes = NULL;
    size_t k = 0;
    if ((s = api->EpAssignedSubgraph_GetEpName(graphs[i], &ep))) break;
    if ((s = api->EpAssignedSubgraph_GetNodes(graphs[i], &nodes, &k))) break;
    *all += k;
    if (strcmp(ep, provider) == 0) *on += k;
  }
  return s;
}

void scry_cancel_load(OrtSessionOptions *o) {
  OrtStatus *s = api->SessionOptionsSetLoadCancellationFlag(o, true);
  if (s) api->ReleaseStatus(s);
}

void scry_ep_device(const OrtEpDevice *d, int32_t *type, const char **vendor, const char **ov_device) {
  const OrtHardwareDevice *h = api->EpDevice_Device(d);
  *type = (int32_t)api->HardwareDevice_Type(h);
  *vendor = api->HardwareDevice_Vendor(h);
  const OrtKeyValuePairs *m = api->EpDevice_EpMetadata(d);
  *ov_device = m ? api->GetKeyValue(m, "ov_device") : NULL;
}
