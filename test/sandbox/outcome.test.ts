import { expect, test } from 'vitest';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import type { RunReport } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';

const limits = defaultLimits();
const snippet: Program = { kind: 'snippet', files: [], entry: 'main.py', args: [], env: {} };
const handler: Program = {
  kind: 'handler',
  handler: 'index.handler',
  eventJson: 'null',
  context: { invocationId: 'i', functionName: 'f', functionVersion: '1', deadlineMs: 0 },
  env: {},
};

function report(changes: Partial<RunReport>): RunReport {
  return {
    ...{ cause: 'exited', exitCode: 0, signal: null, result: Buffer.alloc(0) },
    ...{ stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), stdoutTruncated: false, stderrTruncated: false },
    ...{ cpuUsec: 0, memoryPeakBytes: 0, oomKills: 0, pidsRefused: 0, diskFull: false, inodesFull: false },
    ...{ cpuUserUsec: 0, cpuSystemUsec: 0, throttledUsec: 0, writtenBytes: 0, writtenInodes: 0 },
    ...{ startUsec: 0, runUsec: 0 },
    ...changes,
  } as RunReport;
}
const said = (message: unknown) => Buffer.from(JSON.stringify(message));
const ofSnippet = (changes: Partial<RunReport>) => outcomeOf(report(changes), snippet, limits);
const ofHandler = (changes: Partial<RunReport>) => outcomeOf(report(changes), handler, limits);

test('a snippet that exits with 0 is ok, with any other code exited', () => {
  expect(ofSnippet({})).toEqual({ status: 'ok' });
  expect(ofSnippet({ exitCode: 3 })).toEqual({ status: 'exited', exitCode: 3 });
});

test('a handler is ok only with the result it sent', () => {
  expect(ofHandler({ result: said({ type: 'result', value: { a: 1 } }) })).toEqual({
    status: 'ok',
    result: { a: 1 },
  });
  expect(ofHandler({ result: said({ type: 'result' }) })).toEqual({ status: 'ok', result: null });
  expect(ofHandler({})).toMatchObject({ status: 'function_error', name: 'NoResult' });
});

test('of integers beyond those of JavaScript the JSON is kept, and of nothing else', () => {
  const jsonOf = (text: string) => {
    const outcome = ofHandler({ result: Buffer.from(text) });
    return outcome.status === 'ok' ? outcome.resultJson : outcome.status;
  };
  const lossy = ['9007199254740993', '-12345678901234567890', '{"a": [12345678901234567890, "}"]}'];
  for (const text of lossy) {
    expect(jsonOf(`{"type": "result", "initMs": 1.5, "value": ${text}}`)).toBe(text);
    expect(jsonOf(`{"type":"result","value":${text}}`)).toBe(text);
  }
  for (const text of ['1', '9007199254740991', '0.12345678901234567', '[1.2345678901234567e-7]', '"1"'])
    expect(jsonOf(`{"type":"result","value":${text}}`), text).toBeUndefined();
  // User code may say more than a value.
  expect(jsonOf('{"type":"result","value":1,"value":12345678901234567890}')).toBeUndefined();
  expect(jsonOf('{"value":12345678901234567890,"type":"result"}')).toBeUndefined();
});

test('garbage on the result channel is no result', () => {
  for (const garbage of [
    '',
    '{',
    '{"type":"result"}{"type":"result"}',
    '[]',
    '{"type":"error","name":1}',
    '\0',
  ]) {
    expect(ofHandler({ result: Buffer.from(garbage) })).toMatchObject({
      status: 'function_error',
      name: 'NoResult',
    });
  }
});

test('a result nested deeper than anybody could pass on is no result', () => {
  const nested = (depth: number) =>
    Buffer.from(`{"type":"result","value":${'['.repeat(depth)}${']'.repeat(depth)}}`);
  expect(ofHandler({ result: nested(100_000) })).toMatchObject({
    status: 'function_error',
    name: 'NoResult',
  });
  expect(ofHandler({ result: nested(500) })).toMatchObject({ status: 'ok' });
  expect(ofHandler({ result: said({ type: 'result', value: '["{'.repeat(1000) }) })).toMatchObject({
    status: 'ok',
  });
});

test('an error that was sent is the outcome of a failed run, and of no other', () => {
  const result = said({ type: 'error', name: 'TypeError', message: 'm', stack: 's' });
  expect(ofSnippet({ exitCode: 1, result })).toEqual({
    status: 'function_error',
    name: 'TypeError',
    message: 'm',
    stack: 's',
  });
  expect(ofSnippet({ exitCode: 0, result })).toEqual({ status: 'ok' });
});

test('caps that made it fail come before what it says of itself', () => {
  const failed = { exitCode: 1, result: said({ type: 'error', name: 'E', message: '', stack: '' }) };
  expect(ofSnippet({ ...failed, oomKills: 1, memoryPeakBytes: 7 })).toEqual({
    status: 'oom_killed',
    memoryMaxBytes: limits.memoryBytes,
    memoryPeakBytes: 7,
  });
  expect(ofSnippet({ ...failed, pidsRefused: 1 })).toMatchObject({ status: 'limit_exceeded', limit: 'pids' });
  expect(ofSnippet({ ...failed, diskFull: true })).toMatchObject({ status: 'limit_exceeded', limit: 'disk' });
  expect(ofSnippet({ ...failed, inodesFull: true })).toMatchObject({
    status: 'limit_exceeded',
    limit: 'inodes',
  });
});

test('a cap that was hit and survived does not spoil a success', () => {
  expect(ofSnippet({ oomKills: 1, pidsRefused: 4, diskFull: true, inodesFull: true })).toEqual({
    status: 'ok',
  });
});

test('what ended it from outside comes first', () => {
  const busy = { exitCode: null, signal: 9, oomKills: 1, startUsec: 250, runUsec: 500, cpuUsec: 333 };
  expect(ofSnippet({ ...busy, cause: 'wall' })).toEqual({
    status: 'timeout',
    limit: 'wall',
    ms: limits.wallMs,
    usedMs: 0.75,
  });
  expect(ofSnippet({ ...busy, cause: 'cpu' })).toEqual({
    status: 'timeout',
    limit: 'cpu',
    ms: limits.cpuMs,
    usedMs: 0.333,
  });
  expect(ofSnippet({ ...busy, cause: 'killed' })).toEqual({ status: 'cancelled' });
  expect(ofSnippet({ ...busy, cause: 'output', stderrTruncated: true })).toEqual({
    status: 'limit_exceeded',
    limit: 'output',
    max: limits.stderrBytes,
    peak: 0,
  });
});

test('a cap that was hit is named with the most that there was', () => {
  const failed = { exitCode: 1 };
  const peakOf = (changes: Partial<RunReport>) => ofSnippet({ ...failed, ...changes });
  expect(peakOf({ pidsRefused: 1, pidsPeak: 9 })).toMatchObject({ max: limits.pids, peak: 9 });
  expect(peakOf({ pidsRefused: 1 })).toMatchObject({ max: limits.pids, peak: limits.pids });
  expect(peakOf({ diskFull: true, writtenBytes: 8 })).toMatchObject({ max: limits.diskBytes, peak: 8 });
  expect(peakOf({ inodesFull: true, writtenInodes: 5 })).toMatchObject({ max: limits.diskInodes, peak: 5 });
  expect(peakOf({ cause: 'output', stdoutTruncated: true, stdout: Buffer.alloc(6) })).toMatchObject({
    max: limits.stdoutBytes,
    peak: 6,
  });
});

test('a signal is named', () => {
  expect(ofSnippet({ exitCode: null, signal: 11 })).toEqual({ status: 'signaled', signal: 'SIGSEGV' });
  expect(ofSnippet({ exitCode: null, signal: 35 })).toEqual({ status: 'signaled', signal: 'SIG35' });
});
