import { Header, Pax } from 'tar';
import { defaultLimits } from '../../../sdk/contract/limits.ts';
import { encodeCommands } from '../../image/build/buildah.ts';
import { encodeBuildLimits } from '../../image/build/confined-build.ts';
import { encodeLambdaCall } from '../../interpreters/lambda-call.ts';
import { encodeJob } from '../../interpreters/program-job.ts';
import { ociConfig } from '../../sandbox/oci/config.ts';
import type { OciWall } from '../../sandbox/oci/wall.ts';
import { OpenInput } from '../../sandbox/open-input.ts';
import { type SandboxSpec, scratchSpec } from '../../sandbox/sandbox.ts';
import {
  encodeFrame,
  encodeNumber,
  encodeOci,
  encodeRunHead,
  encodeSpec,
  encodeStrings,
  frameType,
} from '../../zygote/protocol.ts';
import { encodeZoneRequest } from '../../zygote/zone.ts';

/**
 * What each fuzzer starts from: messages as the platform's own encoders write them, so that they stay valid when those
 * change. `npm run fuzz -- --seeds` writes them into `corpus/`, and a test compares.
 */
export function fuzzSeeds(): Record<string, Record<string, Uint8Array>> {
  return {
    'launcher-request': launcherRequests(),
    'agent-frames': agentFrames(),
    'run-streams': runStreams(),
    'zygote-messages': zygoteMessages(),
    'exec-job': execJobs(),
    'runtime-api': runtimeApi(),
    'proc-text': procTexts(),
    'changes-tar': changes(),
    archive: archives(),
  };
}

const layer = 'a1'.repeat(32);
const other = 'b2'.repeat(32);
const searchPath = '/usr/local/bin:/usr/bin';
const text = (value: string) => Buffer.from(value);

function launcherRequests() {
  const zone = (options: Partial<Parameters<typeof encodeZoneRequest>[0]>) =>
    encodeZoneRequest({ interpreter: 'node', layers: [layer], searchPath, ...options });
  const buildLimits = {
    memoryBytes: 2 ** 31,
    diskBytes: 2 ** 33,
    diskInodes: 1e6,
    pids: 512,
    cpus: 2,
    wallMs: 6e5,
  };
  const user = { uid: 1000, gid: 1000, groups: [4, 27] };
  const limits = defaultLimits();
  const oci = (wall: OciWall, spec: SandboxSpec) =>
    encodeFrame(
      frameType.OCI,
      0,
      encodeOci(wall, limits, spec, JSON.stringify(ociConfig(wall, spec, limits))),
    );
  // What is no frame has a type that no frame has: see launcher-request.c.
  const typed = (type: number, payload: Uint8Array) =>
    Buffer.concat([Buffer.from([5, 0, 0, 0, type, 0, 0, 0, 0]), payload]);
  const unpacked = (fault: number, message: string) => {
    const head = Buffer.alloc(32);
    head.writeUInt32LE(fault, 0);
    head.writeUInt32LE(message.length, 4);
    head.writeUInt32LE(1, 24);
    return Buffer.concat([head, text(message)]);
  };
  return {
    'zone-trusted': zone({ isTrusted: true }),
    'zone-image': zone({ interpreter: 'python', layers: [layer, other] }),
    'zone-function': zone({
      init: { handler: 'index.handler', env: { NAME: 'value' } },
      zygoteMemoryBytes: 512 * 2 ** 20,
    }),
    'zone-exec': zone({ interpreter: 'exec' }),
    unpack: encodeFrame(
      frameType.UNPACK,
      0,
      encodeStrings([`${layer}:${other}`, '68719476736', '1000000', '60000']),
    ),
    'unpack-lowest': encodeFrame(frameType.UNPACK, 0, encodeStrings(['', '1', '1', '1'])),
    remove: encodeFrame(frameType.REMOVE_LAYER, 0, encodeStrings([layer])),
    'remove-temporary': encodeFrame(
      frameType.REMOVE_LAYER,
      0,
      encodeStrings([`.unpacking-${'0f'.repeat(16)}`]),
    ),
    build: encodeFrame(
      frameType.BUILD,
      0,
      encodeBuildLimits(buildLimits),
      encodeStrings([`${layer}:${other}`]),
    ),
    'oci-runc': oci('runc', scratchSpec([layer])),
    'oci-gvisor': oci('gvisor', { layers: [layer], workingDir: '/', scratch: false, user }),
    'unpack-result': typed(0xf0, unpacked(0, 'dev/null\0')),
    'unpack-refusal': typed(0xf0, unpacked(1, '"../x" climbs out by ".."')),
    commands: typed(
      0xf1,
      text(
        encodeCommands([
          ['/bin/tar', '-x'],
          ['/usr/bin/buildah', 'build', '--pull-never'],
        ]),
      ),
    ),
  };
}

function agentFrames() {
  const create = encodeFrame(frameType.CREATE, 8193, encodeSpec(scratchSpec([layer, other])));
  const user = { uid: 1000, gid: 1000, groups: [4, 27] };
  const createUser = encodeFrame(
    frameType.CREATE,
    8194,
    encodeSpec({ layers: [layer], workingDir: '/', scratch: false, user }),
  );
  const createSecret = encodeFrame(
    frameType.CREATE,
    8195,
    encodeSpec({ ...scratchSpec([layer]), secrets: true }),
  );
  const secrets = [
    { name: 'TOKEN', value: text('hush') },
    { name: 'tls.key', value: text('') },
  ];
  const run = (captureChanges: boolean, given: typeof secrets = []) =>
    encodeFrame(
      frameType.RUN,
      8193,
      encodeRunHead({ limits: defaultLimits(), stdin: text('stdin'), captureChanges, secrets: given }),
      text('{"job":1}'),
    );
  const interactive = encodeFrame(
    frameType.RUN,
    8193,
    encodeRunHead({ limits: defaultLimits(), stdin: text(''), input: new OpenInput(), secrets }),
    text('{"job":1}'),
  );
  const kill = encodeFrame(frameType.KILL, 8193);
  const stat = [0, 8193].map((id) => encodeFrame(frameType.STAT, id));
  // The first byte: how the stream is cut.
  const cut = (bytes: number, ...frames: Uint8Array[]) =>
    Buffer.concat([Buffer.from([bytes - 1]), ...frames]);
  return {
    create: cut(256, create),
    'create-user': cut(7, createUser),
    run: cut(100, run(false)),
    'run-changes': cut(64, run(true)),
    'create-secrets': cut(50, createSecret),
    'run-secrets': cut(80, run(true, secrets)),
    taken: cut(9, run(false), encodeFrame(frameType.TAKEN, 8193, encodeNumber(65_536))),
    input: cut(
      17,
      interactive,
      encodeFrame(frameType.STDIN, 8193, text('a line\n')),
      encodeFrame(frameType.SIGNAL, 8193, encodeNumber(2)),
      encodeFrame(frameType.STDIN_END, 8193),
    ),
    life: cut(33, create, ...stat, run(false), kill, createUser),
  };
}

/** Steps as run-streams.c takes them: kind, byte, number; those that say something, what they say. */
function runStreams() {
  const step = (kind: number, byte: number, number: number, said = '') => {
    const head = Buffer.from([kind, byte, 0, 0]);
    head.writeUInt16LE(number, 2);
    return Buffer.concat([head, text(said)]);
  };
  const say = (said: string) => step(5, Buffer.byteLength(said), 0, said);
  const stdin = (bytes: number) => step(0, bytes & 1, bytes - (bytes & 1));
  const read = (bytes: number) => step(1, 0, bytes);
  const [end, close, write] = [step(2, 0, 0), step(4, 0, 0), step(8, 0, 0)];
  return {
    stdin: Buffer.concat([stdin(5000), read(4096), write, stdin(7000), read(100), end, read(8192), write]),
    // A pipe of 4096 bytes, and a window of 8192 that is exactly full, or has a byte too many.
    window: Buffer.concat([stdin(8192), stdin(4096), read(4096), write, stdin(4096)]),
    'beyond-window': Buffer.concat([stdin(8192), stdin(4097)]),
    'closed-stdin': Buffer.concat([stdin(8000), close, write, stdin(100), end]),
    signals: Buffer.concat([step(3, 0, 2), stdin(8192), step(3, 0, 9), step(3, 0, 32)]),
    records: Buffer.concat([
      say('{"text":"a"}\n{"te'),
      say('xt":"b"}\n{"ok"'),
      say(':1}'),
      say('\0'),
      say('\n'),
    ]),
    result: Buffer.concat([say('{"ok":1}\0\u0007')]),
    streamed: Buffer.concat([
      ...Array(4).fill(step(6, 97, 4000)),
      step(7, 1, 9000),
      ...Array(9).fill(step(6, 97, 4000)),
    ]),
    'result-end': Buffer.concat([say('{"text":"a"}\n'), step(9, 0xff, 0), read(10)]),
  };
}

/** Between agent and zygote, both in C: `struct fork_request` and `struct zygote_event`. */
function zygoteMessages() {
  const numbers = (...values: number[]) => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [index, value] of values.entries()) bytes.writeInt32LE(value, index * 4);
    return bytes;
  };
  const request = (uid: number, groups: number[]) => [
    numbers(8193, uid, uid, groups.length, ...groups, ...Array(32 - groups.length).fill(0)),
    text('/work\0'),
  ];
  return {
    fork: Buffer.concat([text('F'), Buffer.from([7]), ...request(65_538, [])]),
    'fork-user': Buffer.concat([text('F'), Buffer.from([10]), ...request(1000, [4, 27])]),
    events: Buffer.concat([
      text('E'),
      ...[numbers(3, 0, 299, 120_000), numbers(1, 8193, 300, 0), numbers(2, 8193, 300, 256)],
      numbers(4, 8194, 0, 11),
    ]),
  };
}

function execJobs() {
  const file = { path: 'lib/data.bin', content: 'AAEC', encoding: 'base64' as const };
  const source = { path: 'main.sh', content: 'echo hello', encoding: 'utf8' as const };
  return {
    snippet: encodeJob('exec', {
      kind: 'snippet',
      files: [source, file],
      entry: 'main.sh',
      args: ['--verbose', ''],
      env: { NAME: 'value' },
    }),
    command: encodeJob('exec', { kind: 'command', argv: ['/bin/true'], env: { A: '' }, files: [] }),
  };
}

/** Calls as the worker writes them, and requests as clients do; the first byte says which. */
function runtimeApi() {
  const context = { invocationId: 'inv_a', functionName: 'f', functionVersion: '1', deadlineMs: 1 };
  const path = '/2018-06-01/runtime';
  const requests = (piece: number, ...lines: string[]) =>
    Buffer.concat([Buffer.from([piece]), text(lines.join('\r\n'))]);
  return {
    call: Buffer.concat([text('C'), encodeLambdaCall({ context, eventJson: '{"a":1}' })]),
    requests: requests(
      7,
      ...[`GET ${path}/invocation/next HTTP/1.1`, 'Host: 127.0.0.1:9001', '', ''],
      ...[
        `POST ${path}/invocation/inv_a/response HTTP/1.1`,
        'Content-Length: 4',
        'Expect: 100-continue',
        '',
        '"ok"',
      ],
    ),
    error: requests(
      3,
      ...[`POST ${path}/init/error HTTP/1.1`, 'Lambda-Runtime-Function-Error-Type: Runtime.Unknown'],
      ...['Content-Length: 2', 'Connection: close', '', '{}'],
    ),
    stream: requests(
      5,
      ...[`POST ${path}/invocation/inv_a/response HTTP/1.1`, 'Transfer-Encoding: chunked'],
      ...['Lambda-Runtime-Function-Response-Mode: streaming', '', '3', 'abc', '0'],
      ...['Lambda-Runtime-Function-Error-Type: Torn', 'Lambda-Runtime-Function-Error-Body: e30=', '', ''],
    ),
  };
}

function procTexts() {
  const mounts = [
    '23 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '30 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct',
    '31 23 0:27 / /sys/fs/cgroup/pids rw,nosuid shared:10 master:2 - cgroup cgroup rw,pids',
    '33 23 0:29 /docker/1 /sys/fs/cgroup/with\\040blank ro - cgroup  rw,memory',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate',
  ];
  const maps = [
    '55d0c0a00000-55d0c0a01000 r--p 00000000 fe:00 1234                       /usr/bin/node',
    '7f7ef7a5e000-7f7ef7a65000 r--s 00000000 fe:00 325737                     /usr/lib/gconv/gconv-modules.cache',
    '7f7ef7a5d000-7f7ef7a5e000 rw-s 00000000 00:01 52016                      /dev/zero (deleted)',
    '7f7ef7a5c000-7f7ef7a5d000 r--s 00000000 00:01 52017                      [anon_shmem:quiet]',
    '7f7ef7a5b000-7f7ef7a5c000 rw-s 00000000 00:01 3                          /memfd:x (deleted)',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    '  r--p xy3s',
  ];
  const lines = (first: string, list: string[]) =>
    text(`${first}${list.map((line) => `${line}\n`).join('')}`);
  return { mountinfo: lines('M', mounts), maps: lines('P', maps) };
}

/** Entries as changes-tar.c takes them apart. */
function changes() {
  const entry = (type: number, path: string, link = '', size = 0) => {
    const head = Buffer.alloc(34);
    head.writeUInt8(type, 0);
    head.writeUInt16LE(Buffer.byteLength(path), 2);
    head.writeUInt16LE(Buffer.byteLength(link), 4);
    head.writeUInt32LE(0o644, 6);
    head.writeBigUInt64LE(BigInt(size), 18);
    return Buffer.concat([head, text(path), text(link)]);
  };
  const room = Buffer.alloc(2);
  return {
    entries: Buffer.concat([
      ...[room, entry(0, 'work/file', '', 700), entry(3, 'work/dir/'), entry(2, 'work/link', '/etc/passwd')],
      ...[entry(1, 'work/hard', 'work/file'), entry(0, `long/${'n'.repeat(200)}\n=é`), entry(4, 'work/pipe')],
    ]),
  };
}

function archives() {
  const pax = (path: string) => new Pax({ path }).encode();
  /** Records that the library does not know. */
  const extended = (key: string, value: string) => {
    const rest = ` ${key}=${value}\n`;
    const length = [1, 2, 3]
      .map((digits) => rest.length + digits)
      .find((sum, i) => `${sum}`.length === i + 1);
    return entry('PaxHeader', 'ExtendedHeader', `${length}${rest}`);
  };
  const end = Buffer.alloc(1024);
  const entry = (path: string, type: TarType, data = '', linkpath = '') => {
    const block = Buffer.alloc(512);
    const size = Buffer.byteLength(data);
    new Header({ path, type, linkpath, mode: 0o644, uid: 0, gid: 0, size, mtime: new Date(0) }).encode(block);
    return Buffer.concat([block, text(data), Buffer.alloc(-size & 511)]);
  };
  return {
    files: Buffer.concat([
      entry('d/', 'Directory'),
      entry('d/file', 'File', 'content'),
      entry('d/pipe', 'FIFO'),
      end,
    ]),
    links: Buffer.concat([
      ...[entry('link', 'SymbolicLink', '', '../../x'), entry('hard', 'Link', '', 'etc/passwd')],
      ...[entry('link/below', 'File', 'x'), entry('up/file', 'File', 'x'), end],
    ]),
    whiteouts: Buffer.concat([entry('d/.wh.x', 'File'), entry('d/.wh..wh..opq', 'File'), end]),
    pax: Buffer.concat([pax('é/\n'), entry('short', 'File', 'x'), end]),
    replaced: Buffer.concat([
      ...[entry('a/b/', 'Directory'), entry('a/b/c', 'File', 'x'), entry('a/b', 'File', 'y')],
      ...[entry('a/b/', 'Directory'), entry('a', 'SymbolicLink', '', 'd'), entry('a/file', 'File', 'z')],
      ...[
        entry('d/', 'Directory'),
        entry('same', 'File', '1'),
        entry('one', 'Link', '', 'same'),
        entry('one', 'Link', '', 'same'),
      ],
      end,
    ]),
    attributes: Buffer.concat([
      ...[extended('SCHILY.xattr.user.name', 'value'), entry('file', 'File', 'x')],
      ...[
        extended('SCHILY.xattr.user.name', 'value'),
        entry('d/', 'Directory'),
        entry('d/', 'Directory'),
        end,
      ],
    ]),
    overlay: Buffer.concat([extended('SCHILY.xattr.user.overlay.redirect', 'x'), entry('file', 'File'), end]),
    sparse: Buffer.concat([
      ...[
        extended('GNU.sparse.size', '4096'),
        extended('GNU.sparse.map', '0,1,4000,1'),
        entry('holes', 'File', 'xy'),
      ],
      end,
    ]),
    hostile: Buffer.concat([entry('../x', 'File', 'x'), end]),
  };
}

type TarType = 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'FIFO' | 'ExtendedHeader';
