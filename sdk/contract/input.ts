import { z } from 'zod';

/** Of one piece of stdin, as it is sent to an interactive invocation. */
export const inputPieceMaxBytes = 64 * 1024;

/** Path of `PUT /v1/invocations/:id/stdin/:number`. */
export const stdinParametersSchema = z.object({
  id: z.string(),
  /** From 1, without a gap: a piece that comes again is dropped. */
  number: z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/, 'must be from 1 to 999999999')
    .transform(Number),
});

/** The standard ones of Linux, in the order of their numbers. */
const signalNameSchema = z.enum([
  ...['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE'],
  ...['SIGKILL', 'SIGUSR1', 'SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT'],
  ...['SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGXCPU'],
  ...['SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS'],
] as const);
export type SignalName = z.infer<typeof signalNameSchema>;

/** Body of `POST /v1/invocations/:id/signal`. */
export const signalRequestSchema = z.strictObject({ signal: signalNameSchema });
