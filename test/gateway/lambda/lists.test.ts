import { expect, test } from 'vitest';
import { useGateway } from '../../support/gateway.ts';
import { nodeImage } from '../../support/images.ts';
import { useRedis } from '../../support/redis.ts';

const gateway = useGateway(useRedis());

async function deploy(name: string, env: Record<string, string> = {}) {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    ...{ name, runtime: 'node', handler: 'index.handler', env, limits: {} },
    files: [{ path: 'index.js', data: Buffer.from('') }],
  });
}

interface Page {
  NextMarker?: string;
  [list: string]: unknown;
}

/** Names of the items of one page, and where the next one begins. */
async function page(path: string, list: string, key: string, query: Record<string, string>) {
  const reply = await gateway.app.request(`${path}?${new URLSearchParams(query)}`);
  const { NextMarker = '', ...lists } = (await reply.json()) as Page;
  return { names: (lists[list] as Record<string, string>[]).map((item) => item[key]), NextMarker };
}

test('functions behind a marker are listed when the function that it names is deleted', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await deploy(name);
  const list = (query: Record<string, string>) =>
    page('/2015-03-31/functions', 'Functions', 'FunctionName', query);
  const { names, NextMarker } = await list({ MaxItems: '2' });
  expect(names).toEqual(['a', 'b']);
  await gateway.registry.delete('b');
  await deploy('aa');
  await deploy('bb');
  expect(await list({ Marker: NextMarker })).toEqual({ names: ['bb', 'c', 'd'], NextMarker: '' });
  // Nor does it matter that nothing is behind it.
  for (const name of ['bb', 'c', 'd']) await gateway.registry.delete(name);
  expect(await list({ Marker: NextMarker })).toEqual({ names: [], NextMarker: '' });
});

test('versions are listed by number, also when the one that the marker names is deleted', async () => {
  const numbers = Array.from({ length: 12 }, (_, index) => index + 1);
  for (const version of numbers) {
    await deploy('many', { N: String(version) });
    await gateway.registry.putLabels({ name: 'many', version }, { 'aws.published': '' });
  }
  const list = (query: Record<string, string>) =>
    page('/2015-03-31/functions/many/versions', 'Versions', 'Version', query);
  const first = await list({ MaxItems: '1' });
  expect(first.names).toEqual(['$LATEST']);
  const second = await list({ Marker: first.NextMarker, MaxItems: '9' });
  expect(second.names).toEqual(numbers.slice(0, 9).map(String));
  await gateway.registry.deleteVersion('many', 9);
  expect((await list({ Marker: second.NextMarker })).names).toEqual(['10', '11', '12']);
});
