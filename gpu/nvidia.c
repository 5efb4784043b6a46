#define _GNU_SOURCE
#include "nvidia.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// open_driver loads a library of the driver: by name, else from the folders
// where containers mount it without telling the loader.
static void *open_driver(const char *name, int flags) {
  static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
                                        "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"};
  void *lib = dlopen(name, flags);
  char path[256];
  for (size_t i = 0; !lib && i < sizeof folders / sizeof *folders; i++) {
    snprintf(path, sizeof path, "%s/%s", folders[i], name);
    lib = dlopen(path, flags);
  }
  return lib;
}

// The few types of nvml.h and cuda.h that are needed, with their stable ABI.
typedef struct nvml_device *nvml_device_t;
typedef struct {
  unsigned long long total, free, used;
} nvml_memory_t;

static struct {
  int (*init)(void);
  int (*driver_version)(char *, unsigned int);
  int (*by_bus)(const char *, nvml_device_t *);
  int (*memory)(nvml_device_t, nvml_memory_t *);
  const char *(*error)(int);
} nvml;

int scry_nvml_open(char *version, size_t n_version, char *why, size_t n_why) {
  void *lib = open_driver("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    snprintf(why, n_why, "no NVIDIA driver is installed");
    return -1;
  }
  nvml.init = (int (*)(void))dlsym(lib, "nvmlInit_v2");
  nvml.driver_version = (int (*)(char *, unsigned int))dlsym(lib, "nvmlSystemGetDriverVersion");
  nvml.by_bus = (int (*)(const char *, nvml_device_t *))dlsym(lib, "nvmlDeviceGetHandleByPciBusId_v2");
  nvml.memory = (int (*)(nvml_device_t, nvml_memory_t *))dlsym(lib, "nvmlDeviceGetMemoryInfo");
  nvml.error = (const char *(*)(int))dlsym(lib, "nvmlErrorString");
  if (!nvml.init || !nvml.driver_version || !nvml.by_bus || !nvml.memory || !nvml.error) {
    memset(&nvml, 0, sizeof nvml);
    snprintf(why, n_why, "the NVIDIA driver is too old to be asked");
    return -1;
  }
  int rc = nvml.init();
  if (rc == 0) rc = nvml.driver_version(version, (unsigned int)n_version);
  if (rc != 0) {
    snprintf(why, n_why, "the NVIDIA driver does not answer: %s", nvml.error(rc));
    memset(&nvml, 0, sizeof nvml);
    return -1;
  }
  return 0;
}

int scry_nvml_memory(const char *bus, unsigned long long *total, unsigned long long *free) {
  nvml_device_t d;
  nvml_memory_t m = {0};
  if (!nvml.memory || nvml.by_bus(bus, &d) != 0 || nvml.memory(d, &m) != 0) return -1;
  *total = m.total;
  *free = m.free;
  return 0;
}

static struct {
  int (*init)(unsigned int);
  int (*count)(int *);
  int (*get)(int *, int);
  int (*name)(char *, int, int);
  int (*bus)(char *, int, int);
  int (*total)(size_t *, int);
  int (*attribute)(int *, int, int);
  int (*error)(int, const char **);
} cuda;

int scry_cuda_open(int *count, char *why, size_t n_why) {
  // Global, because the CUDA provider looks for it by name.
  void *lib = open_driver("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  *count = 0;
  if (!lib) {
    snprintf(why, n_why, "the NVIDIA driver's CUDA library (libcuda.so.1) is missing");
    return -1;
  }
  cuda.init = (int (*)(unsigned int))dlsym(lib, "cuInit");
  cuda.count = (int (*)(int *))dlsym(lib, "cuDeviceGetCount");
  cuda.get = (int (*)(int *, int))dlsym(lib, "cuDeviceGet");
  cuda.name = (int (*)(char *, int, int))dlsym(lib, "cuDeviceGetName");
  cuda.bus = (int (*)(char *, int, int))dlsym(lib, "cuDeviceGetPCIBusId");
  cuda.total = (int (*)(size_t *, int))dlsym(lib, "cuDeviceTotalMem_v2");
  cuda.attribute = (int (*)(int *, int, int))dlsym(lib, "cuDeviceGetAttribute");
  cuda.error = (int (*)(int, const char **))dlsym(lib, "cuGetErrorString");
  if (!cuda.init || !cuda.count || !cuda.get || !cuda.name || !cuda.bus || !cuda.total || !cuda.attribute ||
      !cuda.error) {
    snprintf(why, n_why, "the NVIDIA driver's CUDA library is too old");
    return -1;
  }
  int rc = cuda.init(0);
  if (rc == 0) rc = cuda.count(count);
  if (rc != 0) {
    const char *text = NULL;
    cuda.error(rc, &text);
    snprintf(why, n_why, "CUDA cannot be initialised: %s", text ? text : "unknown error");
    return -1;
  }
  return 0;
}

int scry_cuda_describe(int i, scry_cuda_device *d) {
  enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };
  int dev;
  memset(d, 0, sizeof *d);
  if (cuda.get(&dev, i) != 0) return -1;
  if (cuda.name(d->name, sizeof d->name, dev) != 0 || cuda.bus(d->bus, sizeof d->bus, dev) != 0) return -1;
  if (cuda.total(&d->total, dev) != 0) return -1;
  if (cuda.attribute(&d->major, CAPABILITY_MAJOR, dev) != 0) return -1;
  return cuda.attribute(&d->minor, CAPABILITY_MINOR, dev) == 0 ? 0 : -1;
}
