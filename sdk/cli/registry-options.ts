import type { Command } from 'commander';
import { CliError } from './cli-error.ts';
import { readText } from './read-stdin.ts';
import type { Session } from './session.ts';

export interface RegistryOptions {
  username?: string;
  passwordStdin?: boolean;
  insecure?: boolean;
}

/** No option for the password itself: everybody on the machine can read a command line. */
export function addRegistryOptions(command: Command): Command {
  return command
    .option('--username <name>', 'for a registry that wants one (ONCEBOX_REGISTRY_USERNAME)')
    .option('--password-stdin', 'read its password from standard input (else ONCEBOX_REGISTRY_PASSWORD)')
    .option('--insecure', 'speak plain HTTP, or TLS without checking the certificate');
}

export async function registryAccess(session: Session, options: RegistryOptions) {
  const { environment, io } = session;
  const username = options.username ?? environment.ONCEBOX_REGISTRY_USERNAME;
  const password = options.passwordStdin
    ? (await readText(io)).replace(/\r?\n$/, '')
    : environment.ONCEBOX_REGISTRY_PASSWORD;
  if (username !== undefined && password === undefined)
    throw new CliError('--username needs a password: --password-stdin or ONCEBOX_REGISTRY_PASSWORD', 2);
  if (username === undefined && options.passwordStdin)
    throw new CliError('--password-stdin needs --username', 2);
  return {
    insecure: options.insecure ?? false,
    ...(username !== undefined && password !== undefined && { auth: { username, password } }),
  };
}
