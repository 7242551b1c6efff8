import { type Config, loadConfig } from '../shared/config.ts';
import { deployExample, examples, invokeExample } from './examples.ts';
import { type Platform, startPlatform } from './platform.ts';
import { terminalLog } from './terminal-log.ts';

const startedAt = performance.now();
const config = loadConfigOrExit();
const write = (text: string) => void process.stdout.write(text);
const log = terminalLog(write, config.ONCEBOX_LOG_LEVEL);
const start = new AbortController();
let platform: Platform | undefined;
let stopping: Promise<void> | undefined;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());

try {
  write(`oncebox starts on ${config.ONCEBOX_DATA_DIR}\n`);
  platform = await startPlatform(config, { log, signal: start.signal });
  await greet(platform);
} catch (error) {
  // Also what a Ctrl-C during the start makes of it; then there is nothing to explain.
  if (!stopping) process.stderr.write(`${(error as Error).message}\n`);
  await platform?.close();
  process.exit(stopping ? 130 : 1);
}

async function greet({ url, adminKey }: Platform): Promise<void> {
  await Promise.all(examples.map((example) => deployExample(url, example, adminKey)));
  const check = await invokeExample(url, examples[0], adminKey);
  const again = await invokeExample(url, examples[0], adminKey);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  write(`  functions deployed: ${examples.map(({ name }) => name).join(', ')}
  self-check: ${examples[0].name} → ${check.result} (${check.start} start, ${check.ms.toFixed(1)} ms; the next: ${again.start} start, ${again.ms.toFixed(1)} ms)
  keys: ${keysInWords()}

Ready on ${url} after ${seconds} s; Ctrl-C ends it. Try:

  curl -s ${url}/v1/run${withKey()} -H 'content-type: application/json' -d '{"runtime":"node","code":"console.log(1+1)"}'

`);
}

/** Never the key itself: what is printed is kept in terminals and journals. */
function keysInWords(): string {
  if (config.ONCEBOX_ADMIN_KEY !== '' && config.needsKeys) return 'needed; ONCEBOX_ADMIN_KEY opens all';
  if (config.needsKeys) return `needed; ${config.adminKeyFile} holds the one that opens all`;
  const isChosen = config.ONCEBOX_AUTH === 'open';
  return isChosen
    ? `none needed (ONCEBOX_AUTH=open): who reaches ${config.ONCEBOX_HOST} may do all`
    : 'none needed on loopback';
}

function withKey(): string {
  if (!config.needsKeys) return '';
  const key = config.ONCEBOX_ADMIN_KEY === '' ? `$(cat ${config.adminKeyFile})` : '$ONCEBOX_ADMIN_KEY';
  return ` -H "x-api-key: ${key}"`;
}

/** The first request drains; a second one, while that goes on, waits for nobody. */
async function stop(): Promise<void> {
  if (stopping) {
    write('Ending at once.\n');
    return void platform?.close({ force: true });
  }
  if (!platform) {
    stopping = Promise.resolve();
    return start.abort(new Error('the start was given up'));
  }
  write('\nDraining; Ctrl-C again ends at once.\n');
  const drainedFrom = performance.now();
  stopping = platform.close();
  await stopping;
  log.step('all parts have ended', performance.now() - drainedFrom);
  process.exit(0);
}

function loadConfigOrExit(): Config {
  try {
    return loadConfig();
  } catch (error) {
    // A ZodError: each issue names its variable.
    const issues = (error as { issues?: { path: PropertyKey[]; message: string }[] }).issues ?? [];
    for (const { path, message } of issues)
      process.stderr.write(`cannot use ${path.join('.')}: ${message}\n`);
    if (issues.length === 0) throw error;
    process.exit(1);
  }
}
