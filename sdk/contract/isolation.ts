import { z } from 'zod';

/** `native`: namespaces, cgroups and seccomp of ours; `runc`: the same of an OCI runtime; `gvisor`: a kernel of its own. */
export const isolationSchema = z.enum(['native', 'runc', 'gvisor']);
/** Which wall stands between a program and the host. */
export type Isolation = z.infer<typeof isolationSchema>;
