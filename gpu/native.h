#ifndef SCRY_GPU_NATIVE_H
#define SCRY_GPU_NATIVE_H

#include <stddef.h>

// scry_load_global loads a library by path and shows its symbols to those
// loaded later. 0 on success, else why holds the loader's message.
int scry_load_global(const char *path, char *why, size_t n);

// scry_signals_save remembers the process's signal handlers, and
// scry_signals_restore puts back those that were changed since.
void scry_signals_save(void);
void scry_signals_restore(void);

#endif
