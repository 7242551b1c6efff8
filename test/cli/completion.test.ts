import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { wordsOf } from '../../sdk/cli/completion/words.ts';
import { anImage, useStandIn } from './stand-in.ts';
import { useCli } from './use-cli.ts';

const standIn = useStandIn();
const cli = useCli(standIn.url);
const bin = resolve(import.meta.dirname, '../../bin');

/** Who presses a key is not kept waiting for long. What there is to say is another matter, and here nobody is in a hurry. */
const patience = '--import=data:text/javascript,AbortSignal.timeout=()=>new%20AbortController().signal';
beforeEach(() => {
  vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal);
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function complete(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await cli(['__complete', '--', ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/\t.*/, ''));
}

describe('what may stand at the cursor', () => {
  test('commands, and those below them', async () => {
    expect(await complete('dep')).toEqual(['deploy']);
    expect(await complete('functions', '')).toEqual(['ls', 'show', 'rm']);
    expect(await complete('secret', '')).toEqual(['ls', 'set', 'rm']);
    expect(await complete('dead-letters', 're')).toEqual(['redrive']);
    expect(await complete('--url', 'deploy', 'invok')).toEqual(['invoke']);
    expect(await complete('--url', standIn.url(), 'inv')).toEqual(['invoke', 'invocations']);
  });

  test('options, and what their values may be', async () => {
    expect(await complete('deploy', '--li')).toEqual(['--limit']);
    expect(await complete('deploy', '--limit', 'wall')).toEqual(['wallMs=']);
    expect(await complete('invocations', '--limit', '')).toEqual([]);
    expect(await complete('invocations', '--status', '')).toEqual(['queued', 'running', 'done', 'failed']);
    expect(await complete('deploy', '--runtime', '')).toEqual(['node', 'python']);
    expect(await complete('completion', '')).toEqual(['bash', 'zsh']);
  });

  test('functions and images, as the platform has them', async () => {
    expect(await complete('invoke', 'hel')).toEqual(['hello']);
    expect(await complete('invoke', '--async', '')).toEqual(['hello', 'other']);
    expect(await complete('functions', 'rm', 'hello', 'o')).toEqual(['other']);
    expect(await complete('rm', 'a')).toEqual(['app']);
    expect(await complete('invocations', '--function', 'h')).toEqual(['hello']);
    expect(await complete('logs', 'hel')).toEqual(['hello']);
  });

  test('files and directories, where the shell knows better', async () => {
    expect(await complete('deploy', '')).toEqual([':directories']);
    expect(await complete('run', 'a')).toEqual(['app', ':files']);
    expect(await complete('run', 'app', '-l')).toEqual([':files']);
    expect(await complete('build', '-f', '')).toEqual([':files']);
  });

  test('nothing, quietly, where the platform does not answer or there is nothing to say', async () => {
    const nowhere = ['--url', 'http://127.0.0.1:1'];
    expect(await complete(...nowhere, 'invoke', '')).toEqual([]);
    expect(await complete('--url', 'no address', 'invoke', '')).toEqual([]);
    expect(await complete('no-such-command', '')).toEqual([]);
  });
});

test.each([
  ['oncebox ', ['oncebox', '']],
  ['oncebox  inv', ['oncebox', 'inv']],
  [`a 'b c' "d \\" e" f\\ g`, ['a', 'b c', 'd " e', 'f g']],
  [`a "open quo`, ['a', 'open quo']],
  [`a ''`, ['a', '']],
])('the words of %j are %j', (line, words) => {
  expect(wordsOf(line)).toEqual(words);
});

describe('in real shells', () => {
  test.each([
    ['bash', '--norc --noprofile -i', ''],
    ['zsh', '-f -i', 'autoload -Uz compinit && compinit -u -D; '],
  ])(
    '%s completes commands, functions, images with a colon, options and directories',
    async (name, args, first) => {
      standIn.images = ['1.2', '1.3'].map((tag) => ({ ...anImage, reference: `localhost/tool:${tag}` }));
      const shell = await useShell(`${name} ${args}`);
      await shell.type(`${first}source <(oncebox completion ${name})\n`, /completion[\s\S]*> $/);
      await shell.type('oncebox invok\t', /oncebox invoke $/);
      await shell.type('hel\t', /invoke hello $/);
      await shell.type('\x15oncebox run too\t', /run tool:1\.$/);
      await shell.type('3\t', /run tool:1\.3 $/);
      await shell.type('\x15oncebox deploy --limit wal\t', /--limit wallMs=$/);
      await shell.type('500 ./fun\t', /wallMs=500 \.\/functions\/$/);
    },
  );
});

/** An interactive shell on a terminal of its own, with `oncebox` in its PATH. */
async function useShell(shell: string) {
  const cwd = await mkdtemp(join(tmpdir(), 'oncebox-shell-'));
  await mkdir(join(cwd, 'functions'));
  const env = {
    PATH: [bin, process.env.PATH].join(delimiter),
    HOME: cwd,
    TERM: 'xterm',
    PS1: '> ',
    ONCEBOX_URL: standIn.url(),
    NODE_OPTIONS: patience,
  };
  const child = spawn('script', ['-q', '-c', `stty columns 200; ${shell}`, '/dev/null'], { cwd, env });
  const ended = new Promise((done) => child.once('close', done));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(cwd, { recursive: true });
  }, 180_000);
  let written = '';
  child.stdout.on('data', (chunk) => {
    written += chunk;
    child.emit('shown');
  });
  async function until(pattern: RegExp): Promise<void> {
    while (!pattern.test(shownOf(written))) await once(child, 'shown');
  }
  await until(/> $/);
  return {
    async type(text: string, shown: RegExp): Promise<void> {
      child.stdin.write(text);
      await until(shown);
    },
  };
}

/** What a terminal shows of it, nearly: without control sequences, and with what was gone back over written over. */
function shownOf(written: string): string {
  const plain = stripVTControlCharacters(written).replaceAll(BELL, '');
  let shown = '';
  for (const character of plain) shown = character === '\b' ? shown.slice(0, -1) : shown + character;
  return shown;
}

const BELL = '\x07';
