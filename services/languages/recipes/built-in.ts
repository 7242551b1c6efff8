import type { Language } from '../language.ts';

/** Those that run on the base images of set-up. */
export const builtIn: readonly Language[] = [
  {
    name: 'bash',
    version: '5.2.15',
    aliases: ['sh'],
    extensions: ['.sh', '.bash'],
    fileName: 'main.sh',
    base: 'bash',
    packages: [],
    run: ['bash', '{entry}'],
    versionCommand: ['bash', '--version'],
    test: {
      files: { 'main.sh': 'read -r name\necho "Hello, $name"' },
      stdin: 'box\n',
      stdout: 'Hello, box\n',
    },
  },
  {
    name: 'javascript',
    version: '24.21.0',
    aliases: ['js', 'node', 'nodejs', 'node-js', 'node-javascript'],
    extensions: ['.js', '.cjs', '.mjs'],
    fileName: 'index.js',
    runtime: 'node',
    base: 'node',
    packages: [],
    run: ['node', '{entry}'],
    versionCommand: ['node', '--version'],
    test: {
      files: { 'index.js': "process.stdin.on('data', (name) => process.stdout.write('Hello, ' + name));" },
      stdin: 'box\n',
      stdout: 'Hello, box\n',
    },
  },
  {
    name: 'python',
    version: '3.11.2',
    aliases: ['py', 'py3', 'python3'],
    extensions: ['.py'],
    fileName: 'main.py',
    base: 'python',
    packages: [],
    run: ['python3', '{entry}'],
    versionCommand: ['python3', '--version'],
    test: { files: { 'main.py': 'print("Hello, " + input())' }, stdin: 'box\n', stdout: 'Hello, box\n' },
  },
  {
    // Types are taken out, not checked, and what is more than types, such as an enum, is refused: node's own way with them.
    name: 'typescript',
    version: '24.21.0',
    aliases: ['ts', 'node-ts'],
    extensions: ['.ts', '.mts', '.cts'],
    fileName: 'index.ts',
    runtime: 'node',
    base: 'node',
    packages: [],
    run: ['node', '{entry}'],
    versionCommand: ['node', '--version'],
    test: {
      files: {
        'index.ts':
          "process.stdin.on('data', (name: Buffer): void => void process.stdout.write('Hello, ' + name));",
      },
      stdin: 'box\n',
      stdout: 'Hello, box\n',
    },
  },
];
