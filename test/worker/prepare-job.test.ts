import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import type { StoredImage } from '../../runtime/image/image.ts';
import { StoreError } from '../../runtime/image/store-error.ts';
import type { ImageConfig } from '../../sdk/contract/image.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { createNodeImages, type NodeImages } from '../../services/worker/node-images.ts';
import { createJobPreparer, type PrepareJob } from '../../services/worker/prepare-job.ts';

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}`;
function imageOf(letter: string, config: ImageConfig = {}): StoredImage {
  const reference = `localhost/${letter}:latest`;
  const texts = { manifestJson: '', configJson: '' };
  return { digest: digestOf(letter), layers: [letter], reference, config, sizeBytes: 1, ...texts };
}
const base = { ...imageOf('b'), searchPath: '/bin' };

let known: StoredImage[];
let resolved: string[];
let pulled: string[];
let changed: () => void;
let codeLayers: string[];
let images: NodeImages;
let prepare: PrepareJob;

beforeEach(() => {
  known = [base, imageOf('a', { Env: ['X=1', 'PATH=/opt/bin'] })];
  resolved = [];
  pulled = [];
  codeLayers = [];
  images = createNodeImages(
    {
      async resolve(reference) {
        resolved.push(reference);
        const found = known.find(({ digest }) => digest === reference);
        if (!found) throw new StoreError('image_not_found', `no image ${reference}`);
        return found;
      },
      async pull({ reference }) {
        pulled.push(reference);
        return imageOf('p');
      },
      onChange(listener) {
        changed = listener;
      },
      async userOf(_, user) {
        if (user === 'nobody') throw new StoreError('invalid_image', 'no user nobody');
        return user === 'app'
          ? { uid: 7, gid: 8, groups: [9], home: '/home/app' }
          : { uid: 0, gid: 0, groups: [] };
      },
    },
    pino({ level: 'silent' }),
  );
  prepare = createJobPreparer({
    bases: { node: base, python: base, bash: base },
    images,
    ensureCodeLayer: async (hex) => void codeLayers.push(hex),
    readSecrets: async (tenant, names) => names.map((name) => ({ name, value: Buffer.from(`${tenant}'s`) })),
  });
});

const snippet: Program = {
  kind: 'snippet',
  files: [{ path: 'a', content: '', encoding: 'utf8' }],
  entry: 'a',
  args: [],
  env: {},
};
const command: Program = { kind: 'command', argv: ['sh'], env: { PATH: '/bin' }, files: [] };
const job = (fields: Partial<InvocationJob>): InvocationJob => ({
  tenant: 'default',
  program: snippet,
  function: undefined,
  stdin: '',
  limits: defaultLimits(),
  replyTo: '',
  ...fields,
});
const image = (letter: string, reference = `localhost/${letter}:latest`) => ({
  reference,
  digest: digestOf(letter),
});

test("a plain snippet runs on its runtime's base image, and nothing is looked up", async () => {
  const { request, program } = await prepare(job({ runtime: 'node' }));
  expect(request).toEqual({
    runtime: 'node',
    image: base,
    spec: { layers: ['b'], workingDir: '/work', scratch: true },
  });
  expect(program).toBe(snippet);
  expect(resolved).toEqual([]);
});

test("a function's code layer is made sure of and stacked on the image that it was deployed on", async () => {
  const codeLayer = 'c'.repeat(64);
  const { request } = await prepare(job({ runtime: 'node', image: image('a'), codeLayer }));
  expect(request.spec.layers).toEqual([codeLayer, 'a']);
  expect(request.image).toMatchObject({ digest: digestOf('a'), searchPath: '/opt/bin' });
  expect(codeLayers).toEqual([codeLayer]);
});

test("an image's command gets its user, its directory and a home", async () => {
  const fields = { image: image('a'), program: command, user: 'app', workingDir: '/srv' };
  expect(await prepare(job(fields))).toMatchObject({
    request: {
      runtime: undefined,
      spec: {
        layers: ['a'],
        user: { uid: 7, gid: 8, groups: [9] },
        workingDir: '/srv',
        scratch: false,
      },
    },
    program: { env: { PATH: '/bin', HOME: '/home/app' } },
  });
  const own = { ...command, env: { HOME: '/mine' } };
  expect((await prepare(job({ ...fields, program: own }))).program).toMatchObject({ env: { HOME: '/mine' } });
});

test('without a user a command is run by root, whose home is / where nothing else is known', async () => {
  const { request, program } = await prepare(job({ image: image('a'), program: command, user: '' }));
  expect(request.spec.user).toMatchObject({ uid: 0, gid: 0 });
  expect(program).toMatchObject({ env: { HOME: '/' } });
});

test("a snippet on an image with a User runs as that one, in a working directory of the sandbox's own", async () => {
  const { request } = await prepare(job({ runtime: 'python', image: image('a'), user: 'app' }));
  expect(request.spec).toMatchObject({ user: { uid: 7 }, workingDir: '/work', scratch: true });
});

test('an image is looked up once, and again after the store has changed', async () => {
  const ask = () => prepare(job({ runtime: 'node', image: image('a') }));
  await Promise.all([ask(), ask()]);
  await ask();
  expect(resolved).toEqual([digestOf('a')]);
  changed();
  known = [];
  await expect(ask()).rejects.toThrow('is not on this node');
});

test('an image that is not here is pulled by its digest, once, where its name says a registry', async () => {
  const ask = () => prepare(job({ runtime: 'node', image: image('p', 'registry.example:5000/team/app:1') }));
  const [one, two] = await Promise.all([ask(), ask()]);
  expect(pulled).toEqual([`registry.example:5000/team/app@${digestOf('p')}`]);
  expect([one?.request.spec.layers, two?.request.spec.layers]).toEqual([['p'], ['p']]);
});

test.each([`localhost/p:1`, digestOf('p')])(
  '%s names no registry: the invocation is told so',
  async (reference) => {
    await expect(prepare(job({ runtime: 'node', image: image('p', reference) }))).rejects.toThrow(
      /is not on this node, and its name says no registry/,
    );
    expect(pulled).toEqual([]);
  },
);

test('a user whom the image does not know is refused with the reason', async () => {
  await expect(prepare(job({ image: image('a'), program: command, user: 'nobody' }))).rejects.toThrow(
    'no user nobody',
  );
});

test('a list of sandboxes can ask for an image that has gone', async () => {
  expect(await images.find(digestOf('a'))).toMatchObject({ digest: digestOf('a') });
  expect(await images.find(digestOf('z'))).toBeUndefined();
});

test("secrets are the tenant's, and ask for a sandbox with a place for them", async () => {
  const prepared = await prepare(job({ runtime: 'bash', tenant: 'acme', secrets: ['TOKEN'] }));
  expect(prepared.request.spec.secrets).toBe(true);
  expect(prepared.secrets).toEqual([{ name: 'TOKEN', value: Buffer.from("acme's") }]);
  const without = await prepare(job({ runtime: 'bash' }));
  expect([without.request.spec.secrets, without.secrets]).toEqual([undefined, undefined]);
});
