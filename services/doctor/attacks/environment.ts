import { setTimeout as delay } from 'node:timers/promises';
import type { Attack } from './attack.ts';
import { callFunction, callUntilShared } from './functions.ts';
import { rawExchange, sendText } from './send-text.ts';
import { must } from './verdict.ts';

const group = 'environment';

/** Variables that make an interpreter or its loader run a file of their author's choice. */
const hostile: Record<string, string> = {
  LD_PRELOAD: '/work/evil.so:/function/evil.so',
  LD_AUDIT: '/work/evil.so',
  LD_LIBRARY_PATH: '/work:/function',
  GLIBC_TUNABLES: 'glibc.malloc.mxfast=glibc.malloc.mxfast=A',
  NODE_OPTIONS: '--require /work/evil.cjs',
  NODE_PATH: '/work:/function',
  PYTHONPATH: '/work:/function',
  PYTHONHOME: '/work',
  PYTHONSTARTUP: '/work/evil.py',
  PYTHONINSPECT: '1',
  PYTHONMALLOC: 'debug',
  ONCEBOX_INIT: '{"handler":"evil.handler","env":{}}',
  ONCEBOX_SERVICE_ID: '0',
};

/** What would be loaded in place of, or before, the platform's own part. */
const evil = [
  { path: 'evil.so', content: 'not a library' },
  { path: 'evil.cjs', content: 'console.log("evil"); globalThis.evil = true;' },
  { path: 'evil.py', content: 'print("evil")' },
  ...['sitecustomize', 'usercustomize', 'json', 'base64', 'initialise', 'oncebox_hook'].map((name) => ({
    path: `${name}.py`,
    content: 'print("evil")\nraise SystemExit(66)',
  })),
];

const run: Attack = {
  id: 'environment-run',
  group,
  title: 'LD_PRELOAD, NODE_OPTIONS, PYTHON* and the like in the environment of a run',
  must: "harmless to the platform's own part: the program runs as it is, and sees them",
  async attack(ground) {
    const names = Object.keys(hostile);
    const node = `console.log(${JSON.stringify(names)}.every((name) => name in process.env) ? 'honest' : 'missing')`;
    const python = `import os\nprint("honest" if all(name in os.environ for name in ${JSON.stringify(names)}) else "missing")`;
    for (const [runtime, path, content] of [
      ['node', 'main.js', node],
      ['python', 'program.py', python],
    ] as const) {
      const files = [
        { path, content },
        ...evil.filter((file) => file.path !== 'json.py' && file.path !== 'base64.py'),
      ];
      const ran = await ground.run({ runtime, files, env: hostile });
      must(ran.outcome?.status === 'ok' && ran.stdout === 'honest\n', `${runtime} says otherwise`, ran);
    }
  },
  async control({ outside }) {
    const script =
      'echo "console.log(\\"evil\\")" > evil.cjs; echo "print(\\"evil\\")" > sitecustomize.py; ' +
      'NODE_OPTIONS="--require ./evil.cjs" node -e 1; PYTHONPATH=. python3 -c 1; LD_PRELOAD=./evil.so true 2>&1 | grep -c preloaded';
    const ran = await outside.run(['bash', '-c', script]);
    must(`${ran.stdout}`.startsWith('evil\nevil\n'), 'outside they have no effect', ran);
  },
};

const zygote: Attack = {
  id: 'environment-function',
  group,
  title:
    'the same in the environment of a function, whose zygote boots with it, and modules named as the platform’s own',
  must: 'harmless: its zygote is the platform’s own program, and loads nothing of these',
  async attack(ground) {
    const slow = {
      node: 'for (const end = Date.now() + 300; Date.now() < end; );',
      python: 'import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass',
    };
    const functions = {
      node: `${slow.node}\nexport const handler = () => [globalThis.evil === undefined, process.env.LD_PRELOAD !== undefined];`,
      python: `${slow.python}\nimport os, sys\ndef handler(event, context):\n    return [not any("/function/" in (getattr(m, "__file__", "") or "") for n, m in sys.modules.items() if n in ("json", "base64", "sitecustomize", "initialise")), "LD_PRELOAD" in os.environ]`,
    };
    for (const runtime of ['node', 'python'] as const) {
      const name = `environment-${runtime}`;
      const files = [
        { path: runtime === 'node' ? 'index.mjs' : 'index.py', content: functions[runtime] },
        ...evil,
      ];
      const limits = ground.patientLimits;
      await ground.client.deploy(name, { runtime, handler: 'index.handler', files, env: hostile, limits });
      const { body } = await callUntilShared(ground, name);
      must(JSON.stringify(body) === '[true,true]', `${runtime} says otherwise`, body);
      await ground.client.deleteFunction(name);
    }
  },
  control: run.control,
};

const names: Attack = {
  id: 'environment-names',
  group,
  title: 'names and values of variables with =, NUL and newlines, of a megabyte, and of JavaScript objects',
  must: '400, naming the field, or harmless',
  async attack(ground) {
    for (const env of [
      '{"A=B":"x"}',
      '{"":"x"}',
      '{"A\\u0000":"x"}',
      '{"A":"x\\u0000y"}',
      '{"A\\n":"x"}',
      '{"1A":"x"}',
      '{"A":1}',
      '{"A":null}',
    ]) {
      const reply = await sendText(
        ground,
        'POST',
        '/v1/run',
        `{"runtime":"bash","code":"true","env":${env}}`,
      );
      must(reply.status === 400 && reply.field?.startsWith('env') === true, env, reply);
    }
    const odd = '{"__proto__":"x","constructor":"y","toString":"z","A":"line\\r\\nSet-Cookie: a=b"}';
    const reply = await sendText(
      ground,
      'POST',
      '/v1/run',
      `{"runtime":"node","code":"console.log(process.env.A)","env":${odd}}`,
    );
    must(
      (reply.status === 200 || reply.status === 400) && reply.headers.get('set-cookie') === null,
      odd,
      reply,
    );
    const huge = JSON.stringify({ runtime: 'bash', code: 'true', env: { A: 'x'.repeat(1024 * 1024) } });
    must(
      (await sendText(ground, 'POST', '/v1/run', huge)).status === 400,
      'a value of a megabyte',
      'accepted',
    );
  },
  async control(ground) {
    const ran = await ground.run({ runtime: 'bash', code: 'echo "$A"', env: { A: 'é \r\n ok' } });
    must(ran.stdout === 'é \r\n ok\n', 'an ordinary variable did not arrive', ran);
  },
};

const headers: Attack = {
  id: 'environment-headers',
  group,
  title: 'CR and LF in header values, in paths, in names, and in what a function throws and returns',
  must: '400 or 404, or harmless: no header of theirs in a reply',
  async attack(ground) {
    const evilHeader = 'a%0d%0aSet-Cookie:%20evil=1';
    for (const path of [
      `/v1/functions/${evilHeader}`,
      `/v1/invocations/${evilHeader}`,
      `/v1/images/inspect?reference=${evilHeader}`,
    ]) {
      const response = await fetch(ground.url + path);
      must(response.status >= 400 && response.headers.get('set-cookie') === null, path, response.status);
    }
    for (const value of ['a\rSet-Cookie: evil=1', 'a\nSet-Cookie: evil=1', 'a\0b']) {
      const { status, text } = await rawExchange(
        ground,
        (socket) =>
          socket.write(
            `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${value}\r\nConnection: close\r\n\r\n`,
          ),
        ground.netMs,
      );
      must(
        status === 400 && !text.toLowerCase().includes('set-cookie'),
        JSON.stringify(value),
        text.slice(0, 300),
      );
    }
    const content =
      'export const handler = () => { const e = new Error("a\\r\\nSet-Cookie: evil=1"); e.name = "X\\r\\nSet-Cookie: evil=1"; throw e; };';
    await ground.client.deploy('crlf', {
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.mjs', content }],
      limits: ground.patientLimits,
    });
    const { headers: replied, status } = await callFunction(ground, 'crlf');
    must(status === 500 && replied.get('set-cookie') === null, 'what a function throws', status);
    await ground.client.deleteFunction('crlf');
  },
  async control() {
    // By a server that builds its reply of strings, it would be a header.
    await delay(0);
    const reply = new Response(null, {
      headers: new Headers(parse('HTTP/1.1 200\r\nX-Id: a\r\nSet-Cookie: evil=1\r\n')),
    });
    must(reply.headers.get('set-cookie') === 'evil=1', 'it is no header', [...reply.headers]);
  },
};

function parse(head: string): [string, string][] {
  return head
    .split('\r\n')
    .slice(1, -1)
    .map((line) => line.split(': ') as [string, string]);
}

export const environmentAttacks: readonly Attack[] = [run, zygote, names, headers];
