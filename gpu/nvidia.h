// The NVIDIA driver, found at run time: this program is built without CUDA.

#ifndef SCRY_GPU_NVIDIA_H
#define SCRY_GPU_NVIDIA_H

#include <stddef.h>

typedef struct {
  char name[128];
  char bus[32];  // PCI address, by which NVML knows the same device
  size_t total;  // bytes
  int major, minor;  // compute capability
} scry_cuda_device;

// scry_nvml_open loads NVML and writes the driver's version. 0 on success,
// else why says what is wrong.
int scry_nvml_open(char *version, size_t n_version, char *why, size_t n_why);

// scry_nvml_memory gives total and free bytes of the device at a PCI address.
int scry_nvml_memory(const char *bus, unsigned long long *total, unsigned long long *free);

// scry_cuda_open loads the driver's CUDA library and counts the devices that
// this process may use, in the order that the CUDA provider numbers them.
int scry_cuda_open(int *count, char *why, size_t n_why);
int scry_cuda_describe(int i, scry_cuda_device *d);

#endif
