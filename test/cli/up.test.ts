import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { leftovers, testConfig } from '../support/platform.ts';

const oncebox = resolve(import.meta.dirname, '../../bin/oncebox');

test('up runs the platform where the options say, and a Ctrl-C drains and ends it', async () => {
  const config = await testConfig();
  const env = {
    PATH: process.env.PATH,
    ONCEBOX_STORE_DIR: config.storeDir,
    ONCEBOX_POOL_NODE: '1',
    ONCEBOX_POOL_PYTHON: '0',
    ONCEBOX_POOL_BASH: '0',
  };
  const args = ['up', '--port', '0', '--data-dir', config.ONCEBOX_DATA_DIR];
  const child = spawn(oncebox, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
  });
  let output = '';
  const url = await new Promise<string>((found, failed) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
        const match = /Ready on (\S+)/.exec(output);
        if (match?.[1]) found(match[1]);
      });
    }
    void ended.then((code) => failed(new Error(`ended with ${code}: ${output}`)));
  });
  expect(output).toContain(`oncebox starts on ${config.ONCEBOX_DATA_DIR}`);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  child.kill('SIGINT');
  expect(await ended).toBe(0);
  expect(output).toContain('Draining');
  expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
});
