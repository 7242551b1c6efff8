import ora, { type Ora } from 'ora';

/** What the load tester shows while it works, on stderr: stdout is the report's. */
export interface Progress {
  /** A new step begins; the one before is done. */
  step(name: string, description: string): void;
  /** What the step is at; a terminal has no room for the description beside it. */
  detail(text: string): void;
  /** Something that stays on the screen. */
  note(text: string): void;
  /** Leaves the last step marked as done, or as failed. */
  end(isDone: boolean): void;
}

/** A stream, as far as anything is shown on it. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** On a terminal a spinner for the step under way, elsewhere a line for each step and no details. */
export function showProgress(stderr: Output, term = process.env.TERM): Progress {
  // Some terminals do not know their width, and say 0: nothing can be drawn over there.
  const canRedraw = stderr.isTTY && term !== 'dumb' && (stderr.columns ?? 0) > 0;
  return canRedraw ? onTerminal(stderr) : inLog(stderr);
}

function inLog(stderr: Output): Progress {
  return {
    step: (name, description) => void stderr.write(`${name}: ${description} …\n`),
    detail() {},
    note: (text) => void stderr.write(`  ${text}\n`),
    end() {},
  };
}

function onTerminal(stderr: Output): Progress {
  let current: { spinner: Ora; name: string; title: string } | undefined;
  /** Cut to the terminal's width: a line that wraps cannot be drawn over. */
  const cut = (text: string) => text.slice(0, Math.max(20, (stderr.columns ?? 80) - 4));
  const finish = (isDone: boolean) => {
    if (isDone) current?.spinner.succeed(cut(current.title));
    else current?.spinner.fail(cut(current.title));
    current = undefined;
  };
  return {
    step(name, description) {
      finish(true);
      const title = `${name}: ${description}`;
      const stream = stderr as NodeJS.WriteStream;
      // A terminal that was told apart above is one, also where CI is set.
      const spinner = ora({ text: cut(title), stream, isEnabled: true, discardStdin: false }).start();
      current = { spinner, name, title };
    },
    detail(text) {
      if (current) current.spinner.text = cut(`${current.name}: ${text}`);
    },
    note(text) {
      current?.spinner.clear();
      stderr.write(`  ${text}\n`);
      current?.spinner.render();
    },
    end: finish,
  };
}
