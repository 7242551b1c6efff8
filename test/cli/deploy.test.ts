import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { list } from 'tar';
import { describe, expect, test } from 'vitest';
import { functionFiles, packFunction } from '../../sdk/cli/deploy/bundle.ts';
import { type DeployOptions, prepareDeployment } from '../../sdk/cli/deploy/deploy-directory.ts';
import { prepareImage } from '../../sdk/cli/deploy/deploy-image.ts';
import { useDirectory } from './use-directory.ts';

const handler = 'export const handler = (event) => event;';

async function deployed(files: Record<string, string>, options: DeployOptions = {}, name?: string) {
  const directory = await useDirectory(files, name);
  const { request, ...rest } = await prepareDeployment(directory, options);
  const { bundle, ...settings } = request;
  return { ...rest, ...settings };
}

describe('what a directory is deployed as', () => {
  test.each<[string, Record<string, string>, string, string]>([
    ['an index module', { 'index.mjs': handler }, 'node', 'index.handler'],
    ['a CommonJS module', { 'index.cjs': 'exports.handler = () => 1;' }, 'node', 'index.handler'],
    ['an object of exports', { 'index.js': 'module.exports = { handler };' }, 'node', 'index.handler'],
    ['a fetch function', { 'main.js': 'export async function fetch(request) {}' }, 'node', 'main.fetch'],
    ['a default export', { 'app.mjs': 'export default { fetch() {} };' }, 'node', 'app.default'],
    [
      "a package's main",
      { 'package.json': '{"main":"./dist/"}', 'dist/index.js': handler, 'index.js': handler },
      'node',
      'dist/index.handler',
    ],
    ['a Python file', { 'main.py': 'def handler(event, context):\n  pass' }, 'python', 'main.handler'],
    [
      'a handler of Lambda',
      { 'lambda_function.py': 'def lambda_handler(a, b): 1' },
      'python',
      'lambda_function.lambda_handler',
    ],
    ['a WSGI application', { 'app.py': 'from flask import Flask\napp = Flask("x")' }, 'python', 'app.app'],
    [
      'Python with a script of Node',
      { 'main.py': 'def handler(a, b): 1', 'requirements.txt': '', 'index.js': handler },
      'python',
      'main.handler',
    ],
  ])('%s tells runtime and handler', async (_, files, runtime, expected) => {
    expect(await deployed(files)).toMatchObject({ runtime, handler: expected });
  });

  test('a handler that is given tells the runtime', async () => {
    const files = { 'main.py': 'x', 'index.js': 'y' };
    expect(await deployed(files, { handler: 'main.go' })).toMatchObject({
      runtime: 'python',
      handler: 'main.go',
    });
    expect(await deployed(files, { handler: 'index.go' })).toMatchObject({ runtime: 'node' });
  });

  test("the name is the package's without its scope, else the directory's, in the characters of a name", async () => {
    const files = { 'index.mjs': handler };
    expect(await deployed(files, {}, 'My App!')).toMatchObject({ name: 'my-app' });
    const withPackage = { ...files, 'package.json': '{"name":"@team/Thumbs.v2"}' };
    expect(await deployed(withPackage)).toMatchObject({ name: 'thumbs-v2' });
    expect(await deployed(withPackage, { name: 'given' })).toMatchObject({ name: 'given' });
  });

  test('oncebox.json says the rest, and the command line goes before it', async () => {
    const settings = {
      name: 'said',
      handler: 'index.go',
      env: { A: '1', B: '1' },
      limits: { wallMs: 5, cpuMs: 5 },
      zygote: false,
      isolation: 'gvisor',
      image: 'base',
    };
    const files = { 'index.mjs': handler, 'oncebox.json': JSON.stringify(settings) };
    const { fileCount, bundleBytes, ...asSaid } = await deployed(files);
    expect(asSaid).toEqual({ ...settings, runtime: 'node' });
    expect(fileCount).toBe(1);
    expect(
      await deployed(files, { name: 'x', env: { B: '2' }, limit: { cpuMs: 6 }, zygote: true }),
    ).toMatchObject({
      name: 'x',
      env: { A: '1', B: '2' },
      limits: { wallMs: 5, cpuMs: 6 },
      zygote: false,
    });
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['no code', { 'readme.md': '' }, /cannot tell the runtime: it looks like neither.*--runtime/],
    ['code of both', { 'index.js': handler, 'main.py': '' }, /both node and python/],
    ['TypeScript', { 'index.ts': handler }, /TypeScript is compiled first/],
    [
      'no entry',
      { 'package.json': '{}', 'lib/x.js': '' },
      /cannot tell the handler: there is none of index\.mjs/,
    ],
    ['no export', { 'index.js': 'console.log(1)' }, /exports? no "handler".*--handler index\.NAME/],
    [
      'settings that are none',
      { 'index.mjs': handler, 'oncebox.json': '{"memory":1}' },
      /oncebox\.json.*memory/,
    ],
    ['a limit out of range', { 'oncebox.json': '{"limits":{"wallMs":0}}' }, /limits\.wallMs/],
    ['half a file', { 'oncebox.json': '{' }, /it is not JSON/],
    ['nothing', {}, /there are no files/],
  ])('%s is refused with what to do', async (_, files, message) => {
    await expect(deployed(files)).rejects.toThrow(message);
  });

  test('a directory that is not there is refused', async () => {
    await expect(prepareDeployment('/nowhere', {})).rejects.toThrow('/nowhere: it is not a directory');
  });
});

describe('what an image is deployed as', () => {
  test('its name without registry, tag and digest, and what is asked for', () => {
    const image = 'registry.example:5000/team/Thumbs.app:v1@sha256:0';
    expect(prepareImage('lambda', { image, handler: 'a.b', env: { A: '1' }, secret: ['x', 'x'] })).toEqual({
      name: 'thumbs-app',
      request: { image, protocol: 'lambda', args: ['a.b'], env: { A: '1' }, secrets: ['x'] },
    });
    expect(prepareImage('lambda', { image: 'app', name: 'given', zygote: true })).toEqual({
      name: 'given',
      request: { image: 'app', protocol: 'lambda' },
    });
  });

  test('what goes with code is refused', () => {
    expect(() => prepareImage('lambda', {})).toThrow(/goes with --image/);
    expect(() => prepareImage('lambda', { image: 'a', runtime: 'node' })).toThrow(/--runtime with code/);
    expect(() => prepareImage('lambda', { image: 'a', zygote: false })).toThrow(/--no-zygote with code/);
  });
});

describe('what is sent of a directory', () => {
  test('all but what is ignored, in both ways, and of a link what it points at', async () => {
    const directory = await useDirectory({
      'index.mjs': handler,
      'node_modules/dep/index.js': '',
      'node_modules/.bin/tool': '#!/bin/sh',
      'lib/real.js': 'real',
      'logs/a.log': '',
      'logs/keep.log': '',
      '.env': 'SECRET=1',
      '.git/config': '',
      'pkg/__pycache__/x.pyc': '',
      'oncebox.json': '{}',
      '.onceboxignore': 'logs\n!logs/keep.log\n',
    });
    await symlink('real.js', join(directory, 'lib/link.js'));
    await symlink('..', join(directory, 'lib/loop'));
    await symlink('lib', join(directory, 'shared'));
    expect(await functionFiles(directory)).toEqual([
      'index.mjs',
      'lib/link.js',
      'lib/real.js',
      'logs/keep.log',
      'node_modules/dep/index.js',
      'shared/link.js',
      'shared/real.js',
    ]);
  });

  test('a link to nothing is refused by name', async () => {
    const directory = await useDirectory({ 'index.mjs': handler });
    await symlink('/nowhere', join(directory, 'broken'));
    await expect(functionFiles(directory)).rejects.toThrow(/broken: it is no file, or a link to nothing/);
  });

  test('.env can be taken back', async () => {
    const directory = await useDirectory({ '.env': '', 'a.mjs': '', '.onceboxignore': '!.env' });
    expect(await functionFiles(directory)).toEqual(['.env', 'a.mjs']);
  });

  test('a bundle holds files alone, whatever their names, and is the same at every packing', async () => {
    const directory = await useDirectory({ '@scope/a.js': 'a', 'bin/run': '#!/bin/sh' });
    await mkdir(join(directory, 'empty'));
    const files = await functionFiles(directory);
    const bundle = await packFunction(directory, files);
    const entries: [string, string, number][] = [];
    await new Promise<void>((resolve, reject) => {
      const parser = list({
        onReadEntry: ({ path, type, mode = 0 }) =>
          entries.push([path.replace(/^\.\//, ''), type, mode & 0o111]),
      });
      parser.on('end', resolve).on('error', reject);
      parser.end(bundle);
    });
    expect(entries).toEqual([
      ['@scope/a.js', 'File', 0],
      ['bin/run', 'File', 0o111],
    ]);
    expect(bundle.equals(await packFunction(directory, files))).toBe(true);
  });
});
