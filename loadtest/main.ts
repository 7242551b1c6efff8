import { runCli } from './cli.ts';

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  let isSecond = false;
  process.on(name, () => {
    // Whoever asks again does not wait for the platform's orderly end; its parts end when we are gone.
    if (isSecond) process.exit(130);
    isSecond = true;
    process.stderr.write('\nending what was started; again to end at once\n');
    interrupted.abort(new Error(`interrupted by ${name}`));
  });
}
// Whoever reads us may stop reading, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const { stdout, stderr } = process;
const exitCode = await runCli(process.argv.slice(2), { stdout, stderr, signal: interrupted.signal });
// A part that did not start may leave a connection that tries again for ever.
process.exit(exitCode);
