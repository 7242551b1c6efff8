import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { SandboxLostError } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Command } from '../../sdk/contract/program.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import { type InvocationDeps, processInvocation } from '../../services/worker/process-invocation.ts';
import { Runs } from '../../services/worker/runs.ts';
import { makeTar } from '../image/make-tar.ts';
import { FakeSandbox, report } from '../pool/fake-sandbox.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';

const MiB = 1024 * 1024;
let source: FakeSource;
let runs: Runs;
let capacity: MemoryCapacity;
let deps: InvocationDeps;

const command = (argv: string[]): Command => ({ kind: 'command', argv, env: {}, files: [] });
const compileLimits = { ...defaultLimits(), memoryBytes: 512 * MiB };
const job: InvocationJob = {
  tenant: 'default',
  function: undefined,
  program: command(['./program']),
  compile: { program: command(['compiler']), limits: compileLimits },
  stdin: 'in',
  limits: { ...defaultLimits(), memoryBytes: 128 * MiB },
  replyTo: '',
};
const compiled = (data = 'made') => report({ changes: makeTar([{ path: 'work/program', data }]) });

beforeEach(() => {
  source = new FakeSource();
  runs = new Runs();
  capacity = new MemoryCapacity(1024 * MiB);
  deps = {
    source,
    capacity,
    runs,
    prepare: async (data) => {
      const { request, program } = await prepareAsIs(data);
      return { request, program, ...(data.compile && { compile: { request, ...data.compile } }) };
    },
    recordDiff: async () => ({}),
    logger: pino({ level: 'silent' }),
  };
});

function start(data: InvocationJob = job) {
  const stages = [new FakeSandbox(), new FakeSandbox()] as const;
  source.next.push(...stages);
  const ended = processInvocation({ id: 'one', data, enqueuedAt: Date.now(), mayStartLater: true }, deps);
  return { stages, ended };
}

test('the program has the files of the compiler, its own caps, and its own stdin', async () => {
  const { stages, ended } = start();
  await stages[0].started;
  expect(stages[0].runs).toMatchObject([{ limits: compileLimits, captureWork: 32 * MiB }]);
  expect(stages[0].runs[0]?.stdin).toHaveLength(0);
  stages[0].end(compiled());
  await stages[1].started;
  expect(stages[1].runs).toMatchObject([
    {
      program: { argv: ['./program'], files: [{ path: 'program', bytes: Buffer.from('made') }] },
      limits: job.limits,
      stdin: Buffer.from('in'),
    },
  ]);
  stages[1].end();
  expect(await ended).toMatchObject({ outcome: { status: 'ok' }, compile: { outcome: { status: 'ok' } } });
});

test('the larger part of memory is taken while it compiles, and the program keeps its own', async () => {
  const { stages, ended } = start();
  await stages[0].started;
  expect(capacity.freeBytes).toBe(512 * MiB);
  stages[0].end(compiled());
  await stages[1].started;
  expect(capacity.freeBytes).toBe(896 * MiB);
  stages[1].end();
  await ended;
  await stages[1].dead;
  await new Promise(setImmediate);
  expect(capacity.freeBytes).toBe(1024 * MiB);
});

test('a compiler that is lost loses the invocation, which is not run again', async () => {
  const { stages, ended } = start();
  await stages[0].started;
  stages[0].lose('the zone died');
  expect(await ended).toMatchObject({
    status: 'failed',
    outcome: { status: 'lost', reason: 'the zone died' },
  });
});

test('a program that finds no sandbox behind its compiler is lost, and not put off', async () => {
  const { stages, ended } = start();
  await stages[0].started;
  source.failure = new SandboxLostError('the image is being removed');
  stages[0].end(compiled());
  expect(await ended).toMatchObject({
    outcome: { status: 'lost', reason: 'the image is being removed' },
    compile: { outcome: { status: 'ok' } },
  });
});

test('what the compiler left that is no tar is our loss; more than is carried over is its own', async () => {
  const torn = start();
  await torn.stages[0].started;
  torn.stages[0].end(report({ changes: Buffer.alloc(1024, 'x') }));
  expect((await torn.ended).outcome).toMatchObject({
    status: 'lost',
    reason: expect.stringContaining('what the compiler left cannot be read'),
  });

  source.next.length = 0;
  const large = start();
  await large.stages[0].started;
  large.stages[0].end(report());
  expect(await large.ended).toMatchObject({
    outcome: { status: 'compile_failed' },
    compile: { outcome: { status: 'limit_exceeded', limit: 'disk', max: 32 * MiB, peak: 4096 } },
  });
});

test('a node that is drained ends what it has begun to compile; one that stops loses it', async () => {
  const drained = start();
  await drained.stages[0].started;
  runs.drain();
  drained.stages[0].end(compiled());
  await drained.stages[1].started;
  drained.stages[1].end();
  expect((await drained.ended).outcome).toEqual({ status: 'ok' });

  runs = new Runs();
  deps = { ...deps, runs };
  const stopped = start();
  await stopped.stages[0].started;
  // Between the two: the first has ended, and the second has no sandbox yet.
  stopped.stages[0].end(compiled());
  runs.abortAll();
  expect(await stopped.ended).toMatchObject({
    outcome: { status: 'lost', reason: 'the node shut down while it ran' },
    compile: { outcome: { status: 'ok' } },
  });
  expect(stopped.stages[1].runs).toEqual([]);
});
