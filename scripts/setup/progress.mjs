import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Something failed, and its message is all that the user needs. */
export class CommandError extends Error {}
/** A signal ended it; nothing was wrong. */
export class StoppedError extends Error {
  stopped = true;
}

// The cause is often in the first lines (npm puts its usage after it), and else in the last.
const firstLinesShown = 8;
const lastLinesShown = 15;
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Runs a step and says that it runs, what it reports on the way, and how long it took. */
export async function showStep(name, run) {
  const started = performance.now();
  const isTerminal = process.stdout.isTTY === true;
  let detail = '';
  let frame = 0;
  const draw = () => {
    const text = `${frames[frame++ % frames.length]} ${name} ${detail.trim()}`;
    process.stdout.write(`\r\x1b[2K${text.slice(0, (process.stdout.columns ?? 80) - 1)}`);
  };
  const timer = isTerminal ? setInterval(draw, 100) : undefined;
  const clear = () => {
    clearInterval(timer);
    if (isTerminal) process.stdout.write('\r\x1b[2K');
  };
  if (!isTerminal) console.log(`${name} …`);
  try {
    await run((line) => {
      detail = line;
      if (!isTerminal) console.log(`  ${line.trim()}`);
    });
  } catch (error) {
    clear();
    if (error instanceof CommandError) {
      error.message = `set-up failed at: ${name}\n${error.message}\nWhen that is put right, run the same command again: what is done is kept.`;
    }
    throw error;
  }
  clear();
  console.log(`✓ ${name} (${seconds(started)})`);
}

/** Runs a program without input. Rejects with its last lines when it fails, with StoppedError when we were stopped. */
export function runCommand(command, args, options = {}) {
  const { onLine, ...rest } = options;
  const env = { ...process.env, LC_ALL: 'C.UTF-8', ...rest.env };
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...rest, env });
  const first = [];
  const last = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (first.length < firstLinesShown) first.push(line);
      else last.push(line);
      if (last.length > lastLinesShown) last.shift();
      if (stream === child.stdout) onLine?.(line);
    });
  }
  // On Ctrl-C the terminal tells the child as well; we wait for it to tidy up, then do so ourselves.
  let stoppedBy;
  const stop = (signal) => {
    stoppedBy = signal;
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  const shown = [command, ...args].join(' ');
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new CommandError(`cannot start "${shown}": ${error.message}`)));
    child.on('close', (code, killedBy) => {
      if (stoppedBy) reject(new StoppedError(`set-up was stopped by ${stoppedBy}`));
      else if (code === 0) resolve();
      else
        reject(
          new CommandError(
            [`"${shown}" ended with ${code ?? killedBy}:`, ...[...first, ...last].map((l) => `  ${l}`)].join(
              '\n',
            ),
          ),
        );
    });
  }).finally(() => {
    for (const signal of signals) process.off(signal, stop);
  });
}

export function seconds(startedMs) {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}
