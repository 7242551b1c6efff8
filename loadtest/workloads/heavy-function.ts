import type { DeployRequest } from '../../sdk/contract/function.ts';
import type { LoadRuntime } from './snippets.ts';

/** What the top level takes at least, milliseconds of CPU time; the handler returns what it took. */
export const initialisationCpuMs = 500;

const modules = 40;
const functionsPerModule = 50;

/**
 * Imports of many generated modules, as of a large library. How long these take depends on the machine, so the top
 * level goes on with work of the same kind until the CPU time is used up, by the process's own clock.
 */
export function heavyFunction(runtime: LoadRuntime): DeployRequest {
  const generated = Array.from({ length: modules }, (_, index) => ({
    path: runtime === 'node' ? `lib/module${index}.mjs` : `lib/module${index}.py`,
    content: Array.from({ length: functionsPerModule }, (_, at) => sources[runtime](at)).join(''),
  }));
  const entry =
    runtime === 'node'
      ? { path: 'index.mjs', content: nodeEntry }
      : { path: 'index.py', content: pythonEntry };
  return {
    runtime,
    handler: 'index.handler',
    files: [entry, ...generated],
    // Initialisation may use all of a core, and little of the run's own time is left on a slow machine.
    limits: { cpus: 1, wallMs: 30_000, cpuMs: 30_000 },
  };
}

const sources: Record<LoadRuntime, (at: number) => string> = {
  node: (at) => `export const f${at} = (a, b) => ({ sum: a + b * ${at}, text: \`\${a}-\${b}-${at}\` });\n`,
  python: (at) => `def f${at}(a, b):\n    return {'sum': a + b * ${at}, 'text': f'{a}-{b}-${at}'}\n`,
};

const names = Array.from({ length: modules }, (_, index) => index);

const nodeEntry = `const cpuMs = () => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000;
const before = cpuMs();
const library = await Promise.all(${JSON.stringify(names)}.map((at) => import(\`./lib/module\${at}.mjs\`)));
let calls = 0;
while (cpuMs() - before < ${initialisationCpuMs}) {
  for (const { f1 } of library) calls += JSON.stringify(f1(calls, 1)).length;
}
const initCpuMs = cpuMs() - before;
export const handler = async () => ({ initCpuMs, modules: library.length });
`;

const pythonEntry = `import importlib, json, time
before = time.process_time()
library = [importlib.import_module(f'lib.module{at}') for at in range(${modules})]
calls = 0
while (time.process_time() - before) * 1000 < ${initialisationCpuMs}:
    for module in library:
        calls += len(json.dumps(module.f1(calls, 1)))
init_cpu_ms = (time.process_time() - before) * 1000

def handler(event, context):
    return {'initCpuMs': init_cpu_ms, 'modules': len(library)}
`;
