import { readFile } from 'node:fs/promises';
import type { Attack } from './attack.ts';
import type { Ground } from './ground.ts';
import { must } from './verdict.ts';

const group = 'output';
const MiB = 1024 * 1024;
const floodBytes = 192 * MiB;
const cap = MiB;
const slackBytes = 160 * MiB;

function flood(stream: 'stdout' | 'stderr'): Attack {
  const args = [stream, `${floodBytes / 16}`, Buffer.from('0123456789abcde\n').toString('hex')];
  return {
    id: `flood-${stream}`,
    group,
    title: `${floodBytes / MiB} MiB on ${stream}`,
    must: 'cut at the cap and marked; the memory of gateway and worker bounded',
    async attack(ground) {
      const before = await memoryOfServices(ground);
      const ran = await ground.program('write-bytes.py', {
        args,
        limits: { stdoutBytes: cap, stderrBytes: cap },
      });
      const after = await memoryOfServices(ground);
      must(ran[stream].length <= cap && ran[`${stream}Truncated`], 'it was not cut at the cap', {
        bytes: ran[stream].length,
        marked: ran[`${stream}Truncated`],
      });
      must(
        ran[stream].startsWith('0123456789abcde\n0123456789abcde\n'),
        'what is kept is not its beginning',
        ran[stream].slice(0, 99),
      );
      for (const [name, bytes] of Object.entries(after)) {
        const more = bytes - (before[name] ?? 0);
        must(more < slackBytes, `the memory of ${name} grew with the output`, more);
      }
    },
    async control({ outside }) {
      const ran = await outside.python('write-bytes.py', {
        args: [stream, `${(4 * cap) / 16}`, ...args.slice(2)],
      });
      const length = stream === 'stdout' ? ran.stdout.length : ran.stderr.length;
      // Of stderr the end is kept only.
      must(length === (stream === 'stdout' ? 4 * cap : 4096), 'it did not come out whole', length);
    },
  };
}

async function memoryOfServices({ platform }: Ground): Promise<Record<string, number>> {
  const { gateway, worker } = platform.pids();
  const services = Object.entries({ gateway, worker });
  const sizes = await Promise.all(
    services.map(async ([name, pid]) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return [name, Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024] as const;
    }),
  );
  return Object.fromEntries(sizes);
}

const unread: Attack = {
  id: 'stdin-unread',
  group,
  title: '8 MiB on stdin for a program that never reads',
  must: 'it ends as if there were none',
  async attack(ground) {
    const ran = await ground.program('not-reading.py', { stdin: 'x'.repeat(8 * MiB) });
    must(ran.outcome?.status === 'ok' && ran.stdout === 'done\n', 'it did not end well', ran);
  },
  async control({ outside }) {
    // Without someone who gives up, a writer waits as long as the reader does: a pipe holds 64 KiB.
    const ran = await outside.run(
      ['bash', '-c', 'set -o pipefail; head -c 8M /dev/zero | timeout 1 sleep 9'],
      {},
    );
    must(ran.exitCode !== 0, 'the writer ended well', ran);
  },
};

const shapes = {
  'not UTF-8': 'c3285c80fe00ff',
  'characters of three bytes, which every chunk cuts': 'e282ac'.repeat(3),
  'NUL, escape sequences and a lone half of a pair': '00411b5d303b681b5c07eda080',
};

function shaped(name: keyof typeof shapes, index: number): Attack {
  const bytes = Buffer.from(shapes[name], 'hex');
  const times = 50_000;
  const args = ['stdout', `${times}`, shapes[name]];
  return {
    id: `output-shape-${index + 1}`,
    group,
    title: `output that is ${name}`,
    must: 'what was written is what is read, and a cut splits no character',
    async attack(ground) {
      const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(
        Buffer.concat(Array(times).fill(bytes)),
      );
      const ran = await ground.program('write-bytes.py', { args });
      must(
        ran.outcome?.status === 'ok' && ran.stdout === whole,
        'the output is another',
        ran.stdout.slice(0, 99),
      );
      const cut = await ground.program('write-bytes.py', { args, limits: { stdoutBytes: 1000 } });
      must(
        cut.stdoutTruncated && whole.startsWith(cut.stdout),
        'the cut changed the output',
        cut.stdout.slice(-99),
      );
    },
    async control({ outside }) {
      const ran = await outside.python('write-bytes.py', { args });
      must(
        ran.stdout.equals(Buffer.concat(Array(times).fill(bytes))),
        'it wrote something else',
        ran.stdout.length,
      );
    },
  };
}

export const outputAttacks: readonly Attack[] = [
  flood('stdout'),
  flood('stderr'),
  unread,
  ...(Object.keys(shapes) as (keyof typeof shapes)[]).map(shaped),
];
