/* secrets.h: what a run is given that nobody else may read. */
#ifndef ONCEBOX_SECRETS_H
#define ONCEBOX_SECRETS_H

#include "frames.h"

/* Puts a request's secrets into a sandbox's writable layer, for its user alone to read. -1 with errno. */
int secrets_write(int tmpfs, const struct run_request *request, uint32_t uid, uint32_t gid);

#endif
