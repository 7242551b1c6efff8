import { setTimeout as delay } from 'node:timers/promises';
import type { Attack } from './attack.ts';
import type { Ground } from './ground.ts';
import type { Caller, KeyedGateway } from './keyed-gateway.ts';
import { must } from './verdict.ts';

const group = 'tenants';

/** What is asked for, with its body. */
type Request = readonly [method: string, path: string, body?: unknown];

/** For who is to end by himself, on a machine however busy. */
const limits = { wallMs: 300_000, cpuMs: 300_000 };

const code = (text: string) => ({
  limits,
  runtime: 'node' as const,
  handler: 'index.handler',
  files: [{ path: 'index.mjs', content: `export const handler = () => ${JSON.stringify(text)};` }],
});

/**
 * Each of the requests is refused to the thief, with and without the owner's name in it; the owner himself may make each of
 * them, which is the control. Those who take things away come last.
 */
async function refusesAll(requests: readonly Request[], { thief }: KeyedGateway): Promise<void> {
  for (const [method, path, body] of requests) {
    const { status } = await thief.ask(method, path, { body });
    must(status === 404 || status === 403, `${method} ${path}`, status);
    const named = await thief.ask(method, path, { body, headers: { 'oncebox-tenant': 'owner' } });
    must(named.status === 403, `${method} ${path} as the owner`, named.status);
  }
}

async function grantsAll(requests: readonly Request[], owner: Caller): Promise<void> {
  for (const [method, path, body] of requests) {
    const reply = await owner.ask(method, path, { body });
    must(reply.ok, `${method} ${path} by its owner`, [reply.status, await reply.text()]);
  }
}

async function mentions({ ask }: Caller, path: string, text: string): Promise<boolean> {
  return (await (await ask('GET', path)).text()).includes(text);
}

const functionRequests: readonly Request[] = [
  ['GET', '/v1/functions/hello'],
  ['POST', '/v1/functions/hello/invoke', {}],
  ['POST', '/v1/functions/hello:1/invoke', {}],
  ['POST', '/v1/functions/hello/batch', { events: [1] }],
  ['GET', '/fn/hello/'],
  ['GET', '/v1/functions/hello/aliases'],
  ['GET', '/v1/functions/hello/settings'],
  ['PUT', '/v1/functions/hello/settings', {}],
  ['PUT', '/v1/functions/hello/aliases/prod', { version: 1 }],
  ['DELETE', '/v1/functions/hello/aliases/prod'],
  ['DELETE', '/v1/functions/hello'],
];

const functions: Attack = {
  id: 'tenants-functions',
  group,
  title: "another tenant's function: read, called, by HTTP too, pointed elsewhere, replaced, deleted",
  must: '404, and 403 in the name of the other; a function of the same name is one more',
  async attack(ground) {
    const keyed = await ground.keyed();
    const { owner, thief } = keyed;
    await owner.client.deploy('hello', code('of the owner'));
    await refusesAll(functionRequests, keyed);
    must(!(await mentions(thief, '/v1/functions', 'hello')), 'it is in the list', 'hello');
    await thief.client.deploy('hello', code('of the thief'));
    const { result } = await owner.client.invoke('hello');
    must(result === 'of the owner', 'its code was replaced', result);
    await thief.client.deleteFunction('hello');
  },
  async control(ground) {
    const { owner } = await ground.keyed();
    await owner.client.deploy('hello', code('of the owner'));
    must(await mentions(owner, '/v1/functions', 'hello'), 'it is not in the list', 'hello');
    await grantsAll(functionRequests, owner);
  },
};

const invocations: Attack = {
  id: 'tenants-invocations',
  group,
  title: "another tenant's invocation: its record, events, logs and files, cancelling it, running it again",
  must: '404, and 403 in the name of the other; it ends as if nobody had asked',
  async attack(ground) {
    const keyed = await ground.keyed();
    const { owner, thief } = keyed;
    // Until it is told to end.
    const code = 'echo hush; until [ -e /work/never ]; do sleep 0.1; done';
    const untilCancelled = { wallMs: 600_000, cpuMs: 600_000 };
    const { id } = await owner.client.runAsync({
      ...{ runtime: 'bash', code, diff: 'archive' },
      limits: untilCancelled,
    });
    try {
      await untilRunning(ground, owner, id);
      await refusesAll(invocationRequests(id), keyed);
      must(!(await mentions(thief, '/v1/invocations', id)), 'it is in the list', id);
      const { status } = await owner.client.invocation(id);
      must(status === 'running', 'it has been ended', status);
    } finally {
      await owner.client.cancel(id);
    }
    await owner.client.wait(id);
    await refusesAll(invocationRequests(id), keyed);
  },
  async control(ground) {
    const { owner } = await ground.keyed();
    const { id } = await owner.client.run({ runtime: 'bash', code: 'echo > left', diff: 'archive' });
    must(await mentions(owner, '/v1/invocations', id), 'it is not in the list', id);
    // What ended well is no dead letter.
    await grantsAll(
      invocationRequests(id).filter(([, path]) => !path.includes('dead-letters')),
      owner,
    );
  },
};

function invocationRequests(id: string): Request[] {
  return [
    ['GET', `/v1/invocations/${id}`],
    ['GET', `/v1/invocations/${id}/events`],
    ['GET', `/v1/invocations/${id}/logs`],
    ['GET', `/v1/invocations/${id}/files`],
    ['GET', `/v1/dead-letters/${id}`],
    ['POST', `/v1/dead-letters/${id}/redrive`],
    ['DELETE', `/v1/dead-letters/${id}`],
    ['DELETE', `/v1/invocations/${id}`],
  ];
}

async function untilRunning(ground: Ground, { client }: Caller, id: string): Promise<void> {
  const deadline = performance.now() + ground.netMs;
  while ((await client.invocation(id)).status !== 'running') {
    must(performance.now() < deadline, 'it does not run', await client.invocation(id));
    await delay(20, undefined, { signal: ground.signal });
  }
}

const readsSecret = {
  limits,
  runtime: 'node' as const,
  handler: 'index.handler',
  files: [
    {
      path: 'index.mjs',
      content:
        'import { readFileSync } from "node:fs"; export const handler = () => readFileSync("/run/secrets/TOKEN", "utf8");',
    },
  ],
  secrets: ['TOKEN'],
};

const secrets: Attack = {
  id: 'tenants-secrets',
  group,
  title: "another tenant's secret: listed, deleted, replaced, and named by a function of one's own",
  must: 'not there; a secret of the same name is one more',
  async attack(ground) {
    const keyed = await ground.keyed();
    const { owner, thief } = keyed;
    await owner.client.putSecret('TOKEN', { value: 'hush' });
    await owner.client.deploy('reads', readsSecret);
    must(!(await mentions(thief, '/v1/secrets', 'TOKEN')), 'it is in the list', 'TOKEN');
    await refusesAll([['DELETE', '/v1/secrets/TOKEN']], keyed);
    const deployed = await thief.ask('PUT', '/v1/functions/reads', { body: readsSecret });
    const called = await thief.ask('POST', '/v1/functions/reads/invoke', { body: {} });
    must(!called.ok && !(await called.text()).includes('hush'), 'a function of the thief has it', [
      deployed.status,
      called.status,
    ]);
    await thief.client.putSecret('TOKEN', { value: 'of the thief' });
    const { result } = await owner.client.invoke('reads');
    must(result === 'hush', 'the owner has another', result);
    await thief.client.deleteSecret('TOKEN');
  },
  async control(ground) {
    const { owner } = await ground.keyed();
    await owner.client.putSecret('TOKEN', { value: 'hush' });
    await owner.client.deploy('reads', readsSecret);
    must(await mentions(owner, '/v1/secrets', 'TOKEN'), 'it is not in the list', 'TOKEN');
    const { result } = await owner.client.invoke('reads');
    must(result === 'hush', "the owner's function does not have it", result);
    await grantsAll([['DELETE', '/v1/secrets/TOKEN']], owner);
  },
};

const nightly = { function: 'hello', cron: '0 3 * * *' };
const scheduleRequests: readonly Request[] = [
  ['GET', '/v1/schedules/nightly'],
  ['DELETE', '/v1/schedules/nightly'],
];

const schedules: Attack = {
  id: 'tenants-schedules',
  group,
  title: "another tenant's schedule: read, listed, deleted; a schedule that calls another's function",
  must: '404, and 403 in the name of the other',
  async attack(ground) {
    const keyed = await ground.keyed();
    const { owner, thief } = keyed;
    await owner.client.deploy('hello', code('of the owner'));
    await owner.client.putSchedule('nightly', nightly);
    await refusesAll(scheduleRequests, keyed);
    await refusesAll([['PUT', '/v1/schedules/nightly', nightly]], keyed);
    must(!(await mentions(thief, '/v1/schedules', 'nightly')), 'it is in the list', 'nightly');
    must((await owner.client.schedule('nightly')).cron === nightly.cron, 'it has gone', 'nightly');
  },
  async control(ground) {
    const { owner } = await ground.keyed();
    await owner.client.deploy('hello', code('of the owner'));
    await grantsAll([['PUT', '/v1/schedules/nightly', nightly], ...scheduleRequests], owner);
  },
};

const idempotency: Attack = {
  id: 'tenants-idempotency',
  group,
  title: 'the idempotency key of another tenant, with his request and with another',
  must: 'a key of his own: neither the result of the other nor a word of it',
  async attack(ground) {
    const { owner, thief } = await ground.keyed();
    const of = await owner.client.run(draws, { idempotencyKey: 'the-same' });
    const same = await thief.client.run(draws, { idempotencyKey: 'the-same' });
    must(same.id !== of.id && same.stdout !== of.stdout, 'the thief has the result', same);
    // Who hears that a key is taken knows something.
    await owner.client.run(draws, { idempotencyKey: 'another' });
    const other = { runtime: 'bash', code: 'echo other' };
    const headers = { 'idempotency-key': 'another' };
    const { status } = await thief.ask('POST', '/v1/run', { body: other, headers });
    must(status === 200, 'the key is taken', status);
  },
  async control(ground) {
    const { owner } = await ground.keyed();
    const first = await owner.client.run(draws, { idempotencyKey: 'mine' });
    const second = await owner.client.run(draws, { idempotencyKey: 'mine' });
    must(first.id === second.id && first.stdout === second.stdout, 'it ran twice', [first, second]);
  },
};

const draws = { runtime: 'python' as const, code: 'import secrets; print(secrets.token_hex(16))', limits };

export const tenantAttacks: readonly Attack[] = [functions, invocations, secrets, schedules, idempotency];
