import { expect, test } from 'vitest';
import { memoryOverheadBytes } from '../../runtime/sandbox/oci/wall.ts';
import { errorStatus } from '../../sdk/contract/error.ts';
import { startKindSchema } from '../../sdk/contract/invocation.ts';
import { isolationSchema } from '../../sdk/contract/isolation.ts';
import { limitTable } from '../../sdk/contract/limits.ts';
import { outcomeSchema } from '../../sdk/contract/outcome.ts';
import { createGatewayMetrics } from '../../services/gateway/metrics.ts';
import { configSchema } from '../../services/shared/config.ts';
import { createWorkerMetrics } from '../../services/worker/metrics.ts';
import { tableOf } from './markdown.ts';

const reference = 'docs/reference.md';

test("the reference's configuration table and the schema name the same variables, with the same words", () => {
  const rows = tableOf(reference, 'Variable').map(([name, , meaning]) => [name, meaning]);
  const schema = Object.entries(configSchema.shape).map(([name, field]) => [
    name,
    field.description?.replaceAll('`', ''),
  ]);
  expect(rows).toEqual(schema);
});

test("the reference's defaults of the configuration are the schema's", () => {
  // What follows the machine or another table is put in words there.
  const inWords = [
    'ONCEBOX_STORE_DIR',
    'ONCEBOX_REDIS_MEMORY_BYTES',
    'ONCEBOX_ZYGOTE_MEMORY_BYTES',
    'ONCEBOX_CONCURRENCY',
    'ONCEBOX_MEMORY_BYTES',
    'ONCEBOX_DEFAULT_LIMITS',
    'ONCEBOX_MAX_LIMITS',
  ];
  const defaults = Object.entries(configSchema.parse({}))
    .filter(([name]) => !inWords.includes(name))
    .map(([name, value]) => [name, value === '' ? '(empty)' : String(value)]);
  const rows = tableOf(reference, 'Variable').map(([name, value]) => [name, value]);
  expect(rows.filter(([name = '']) => !inWords.includes(name))).toEqual(defaults);
});

test("the reference's limits are those of the contract, with defaults and ranges", () => {
  const rows = tableOf(reference, 'Limit').map(([name, , ...range]) => [
    name,
    ...range.slice(0, 3).map(Number),
  ]);
  const table = Object.entries(limitTable).map(([name, { defaultValue, min, max }]) => [
    name,
    defaultValue,
    min,
    max,
  ]);
  expect(rows).toEqual(table);
});

test("the reference's outcomes are those of the contract, with their fields", () => {
  const rows = tableOf(reference, 'Outcome').map(([status, , , fields = '']) => [
    status,
    fields.split(', ').filter((field) => field !== ''),
  ]);
  const outcomes = outcomeSchema.options.map(({ shape }) => [
    shape.status.value,
    Object.keys(shape).filter((field) => field !== 'status'),
  ]);
  expect(rows).toEqual(outcomes);
});

test("the reference's error codes and outcomes together are the closed table of codes, with their statuses", () => {
  const outcomes = tableOf(reference, 'Outcome').filter(([status]) => status !== 'ok');
  const rows = [...tableOf(reference, 'Code'), ...outcomes].map(([code, status]) => [code, Number(status)]);
  expect(Object.fromEntries(rows)).toEqual(errorStatus);
});

test("the README's kinds of start are those of the contract", () => {
  expect(tableOf('README.md', 'start').map(([kind]) => kind)).toEqual(startKindSchema.options);
});

test("the README's walls are those of the contract, with the memory that each takes", () => {
  const rows = tableOf('README.md', 'isolation').map(([wall, , , memory]) => [
    wall,
    Number.parseInt(memory || '0', 10),
  ]);
  const walls = isolationSchema.options.map((wall) => [wall, memoryOverheadBytes[wall] / (1024 * 1024)]);
  expect(rows).toEqual(walls);
});

test("the reference's metrics are there, of the type that it says", async () => {
  const gateway = createGatewayMetrics();
  const stats = { groups: {}, parkedHeld: 0, parkedMax: 0 } as never;
  const worker = createWorkerMetrics({
    source: { stats: async () => stats },
    capacity: { totalBytes: 0, freeBytes: 0, waiting: 0 },
    runs: { size: 0 },
  });
  const queue = { waiting: 0, active: 0, delayed: 0, held: 0, oldestWaitingMs: 0, deadLetters: 0 };
  const text = (await gateway.text({ queue, callbacksPending: 0, isNodeUp: true })) + (await worker.text());
  for (const [name, type] of tableOf(reference, 'Metric'))
    expect(text.split('\n')).toContain(`# TYPE ${name} ${type}`);
});
