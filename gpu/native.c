#define _GNU_SOURCE
#include "native.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>

int scry_load_global(const char *path, char *why, size_t n) {
  if (dlopen(path, RTLD_NOW | RTLD_GLOBAL)) return 0;
  const char *e = dlerror();
  snprintf(why, n, "%s", e ? e : "unknown error");
  return -1;
}

#ifndef NSIG
#define NSIG 65
#endif

static struct sigaction saved[NSIG];
static unsigned char known[NSIG];

void scry_signals_save(void) {
  for (int i = 1; i < NSIG; i++) known[i] = sigaction(i, NULL, &saved[i]) == 0;
}

void scry_signals_restore(void) {
  for (int i = 1; i < NSIG; i++) {
    struct sigaction now;
    if (!known[i] || sigaction(i, NULL, &now) != 0) continue;
    if (now.sa_sigaction == saved[i].sa_sigaction && now.sa_flags == saved[i].sa_flags) continue;
    sigaction(i, &saved[i], NULL);
  }
}
