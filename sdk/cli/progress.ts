import ora, { type Ora } from 'ora';
import type { ImageEvent } from '../contract/image.ts';
import type { LanguageEvent } from '../contract/language.ts';
import { shortDigest, size } from './format.ts';
import type { Io } from './session.ts';

const barWidth = 24;

export interface Progress {
  onEvent(event: ImageEvent | LanguageEvent): void;
  /** Leaves the last step marked as done, or as failed. Idempotent. */
  end(isDone: boolean): void;
}

/** Shows a task's events: on a terminal a bar for the step under way, elsewhere one line a step. */
export function showProgress(io: Io): Progress {
  return drawsProgress(io) ? onTerminal(io) : inLog(io.stderr);
}

/** Some terminals do not know their width, and say 0: nothing can be drawn over there. */
export function drawsProgress({ stderr, env }: Io): boolean {
  return stderr.isTTY === true && env.TERM !== 'dumb' && (stderr.columns ?? 0) > 0;
}

function inLog(stderr: Io['stderr']): Progress {
  return {
    onEvent(event) {
      if (event.type === 'step') stderr.write(`${titleOf(event)}\n`);
      if (event.type === 'output') stderr.write(`  ${event.line}\n`);
    },
    end() {},
  };
}

function onTerminal({ stderr, env }: Io): Progress {
  let step: { spinner: Ora; title: string } | undefined;

  /** Cut to the terminal's width: a line that wraps cannot be drawn over. */
  const cut = (text: string) => text.slice(0, Math.max(20, (stderr.columns ?? 80) - 4));
  // https://no-color.org: any value that is not empty.
  const isPlain = (env.NO_COLOR ?? '') !== '';
  const finish = (isDone: boolean) => {
    if (isPlain) step?.spinner.stopAndPersist({ symbol: isDone ? '✔' : '✖' });
    else if (isDone) step?.spinner.succeed();
    else step?.spinner.fail();
    step = undefined;
  };

  return {
    onEvent(event) {
      switch (event.type) {
        case 'step': {
          finish(true);
          const title = titleOf(event);
          const stream = stderr as unknown as NodeJS.WriteStream;
          // A terminal that was told apart above is one, also where CI is set; stdin may be an archive's.
          const options = { text: cut(title), stream, isEnabled: true, discardStdin: false };
          const spinner = ora({ ...options, ...(isPlain && { color: false }) }).start();
          step = { spinner, title };
          break;
        }
        case 'progress': {
          if (!step) break;
          const { doneBytes, totalBytes } = event;
          step.spinner.text = cut(`${step.title}  ${bar(doneBytes, totalBytes)}`);
          break;
        }
        case 'output':
          step?.spinner.clear();
          stderr.write(`  ${event.line}\n`);
          step?.spinner.render();
          break;
        case 'done':
        case 'error':
          finish(event.type === 'done');
      }
    },
    end: finish,
  };
}

function titleOf({ step, subject }: Extract<ImageEvent, { type: 'step' }>): string {
  return `${step} ${shortDigest(subject)}`.trimEnd();
}

function bar(doneBytes: number, totalBytes: number | null): string {
  if (totalBytes === null || totalBytes === 0) return size(doneBytes);
  const share = Math.min(1, doneBytes / totalBytes);
  const full = Math.round(share * barWidth);
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${size(doneBytes)} / ${size(totalBytes)}`;
}
