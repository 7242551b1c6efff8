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

test('an alias that is deleted takes its URL and its description with it, whoever deletes it', async () => {
  await deploy('site');
  await deploy('site', { N: '2' });
  const aliases = '/2015-03-31/functions/site/aliases';
  const url = '/2021-10-31/functions/site/url?Qualifier=prod';
  const alias = { Name: 'prod', FunctionVersion: '1' };
  const deletions = ['/v1/functions/site/aliases/prod', `${aliases}/prod`];
  for (const deletion of deletions) {
    await gateway.postJson(aliases, { ...alias, Description: 'what all use' });
    expect((await gateway.postJson(url, { AuthType: 'NONE' })).status).toBe(201);
    expect((await gateway.app.request(deletion, { method: 'DELETE' })).status).toBe(204);
    const made = await gateway.postJson(aliases, alias);
    expect(await made.json()).toMatchObject({ Description: '' });
    expect((await gateway.app.request('/lambda-url/site:prod/')).status).toBe(404);
    expect((await gateway.app.request(url)).status).toBe(404);
    await gateway.app.request(`${aliases}/prod`, { method: 'DELETE' });
  }
});
