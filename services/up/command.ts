import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { Session } from '../../sdk/cli/session.ts';

interface Options {
  host?: string;
  port?: string;
  dataDir?: string;
}

/** `oncebox up`: what `npm start` does. The options are short for variables of the configuration. */
export const upCommand = (session: Session) =>
  new Command('up')
    .option('--host <address>', 'where to listen (ONCEBOX_HOST)')
    .option('-p, --port <number>', 'where to listen (ONCEBOX_PORT)')
    .option('--data-dir <path>', 'where functions, images and records are kept (ONCEBOX_DATA_DIR)')
    .addHelpText(
      'after',
      `
As root. Installs what is missing first, as "npm run setup" does. Ctrl-C drains and ends it; a second Ctrl-C does not
wait. docs/reference.md lists the other variables of the configuration.`,
    )
    .action(async ({ host, port, dataDir }: Options) => {
      const settings = {
        ONCEBOX_HOST: host,
        ONCEBOX_PORT: port,
        ONCEBOX_DATA_DIR: dataDir === undefined ? undefined : resolve(dataDir),
      };
      const given = Object.entries(settings).filter(([, value]) => value !== undefined);
      // This process becomes the platform, whose configuration is read from its environment.
      Object.assign(session.io.env, Object.fromEntries(given));
      session.exitCode = await setUp(session.io.signal);
      if (session.exitCode === 0 && !session.io.signal.aborted) await import('./main.ts');
    });

/** It says itself what it does and what is wrong, and hears a Ctrl-C as we do. */
async function setUp(signal: AbortSignal): Promise<number> {
  const script = fileURLToPath(new URL('../../scripts/setup.mjs', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: 'inherit' });
  signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}
