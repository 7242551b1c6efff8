import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import {
  buildCauses,
  decodeBuildReport,
  encodeBuildLimits,
} from '../../runtime/image/build/confined-build.ts';
import {
  administratorId,
  firstOwnId,
  maxZones,
  ownIdBase,
  ownIdStride,
  sandboxIdBase,
  sandboxIdCount,
  serviceId,
} from '../../runtime/image/ids.ts';
import { memoryOverheadBytes } from '../../runtime/sandbox/oci/wall.ts';
import { stdinWindowBytes } from '../../runtime/sandbox/open-input.ts';
import {
  changesOverheadBytes,
  changesWithinMs,
  decodeInputTaken,
  decodeReport,
  decodeResidue,
  decodeUnpackReport,
  encodeFrame,
  encodeLimits,
  encodeSpec,
  endCauses,
  FrameDecoder,
  frameType,
  maxFrameBytes,
  maxResultBytes,
  maxSandboxes,
  maxStreamBytes,
  ociRuntime,
  reportKnown,
  residueFlag,
  runFlag,
  specFlag,
  unpackFault,
} from '../../runtime/zygote/protocol.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';

const ociHeader = await readFile(resolve(import.meta.dirname, '../../runtime/native/oci.h'), 'utf8');
const header = await readFile(resolve(import.meta.dirname, '../../runtime/native/oncebox.h'), 'utf8');

function enumOf(name: string): Record<string, number> {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(header)?.[1] ?? '';
  return Object.fromEntries(
    [...body.matchAll(/([A-Z_]+) = (\d+)/g)].map(([, key, value]) => [key, Number(value)]),
  );
}

function structBytes(name: string): number {
  const sizes: Record<string, number> = { uint64_t: 8, uint32_t: 4, int32_t: 4, uint8_t: 1 };
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(header)?.[1] ?? '';
  const types = [...body.matchAll(/^\s*(u?int\d+_t) /gm)].map(([, type]) => sizes[type as string] as number);
  return types.reduce((sum, size) => sum + size, 0);
}

test('the frame types are the same in C and in TypeScript', () => {
  const inC = Object.entries(enumOf('frame_type')).map(([name, value]) => [
    name.replace('FRAME_', ''),
    value,
  ]);
  expect(Object.fromEntries(inC)).toEqual(frameType);
});

test('the OCI runtimes are the same in C and in TypeScript', () => {
  expect(enumOf('oci_runtime')).toEqual({ OCI_RUNC: ociRuntime.runc, OCI_GVISOR: ociRuntime.gvisor });
});

test('what an OCI runtime takes beside the program is the same in C and in TypeScript', () => {
  const mebibytes = (name: string) => Number(new RegExp(`${name} \\((\\d+)u << 20\\)`).exec(ociHeader)?.[1]);
  expect(mebibytes('OCI_RUNC_MEMORY') << 20).toBe(memoryOverheadBytes.runc);
  expect(mebibytes('OCI_GVISOR_MEMORY') << 20).toBe(memoryOverheadBytes.gvisor);
});

test('the end causes are the same in C and in TypeScript', () => {
  const inC = Object.entries(enumOf('end_cause')).map(([name, value]) => [
    value,
    name.replace('END_', '').toLowerCase(),
  ]);
  expect(Object.fromEntries(inC)).toEqual({ ...endCauses });
});

test('the ends of a build are the same in C and in TypeScript', () => {
  const inC = Object.entries(enumOf('build_cause')).map(([name, value]) => [
    value,
    name.replace('BUILD_', '').toLowerCase(),
  ]);
  expect(Object.fromEntries(inC)).toEqual({ ...buildCauses });
});

test('the faults of unpacking are the same in C and in TypeScript', () => {
  const inC = Object.entries(enumOf('unpack_fault')).map(([name, value]) => [
    name.replace('FAULT_', ''),
    value,
  ]);
  expect(Object.fromEntries(inC)).toEqual(unpackFault);
});

test('ids and sizes are the same in C and in TypeScript', () => {
  expect(header).toContain(`#define ID_BASE 0x${sandboxIdBase.toString(16)}u`);
  expect(header).toContain(`#define ADMINISTRATOR_ID ${administratorId}u`);
  expect(header).toContain(`#define FIRST_SANDBOX_ID ${firstOwnId}u`);
  expect(header).toContain(`#define SHARED_ID_COUNT ${administratorId}u`);
  expect(header).toContain(`#define OWN_ID_BASE 0x${ownIdBase.toString(16)}u`);
  expect(header).toContain(`#define OWN_ID_STRIDE 0x${ownIdStride.toString(16)}u`);
  expect(header).toContain(`#define OWN_ID_COUNT ${1 + maxSandboxes}u`);
  expect(header).toContain(`#define MAX_ZONES ${maxZones} `);
  expect(header).toContain(`#define MAX_RESULT (${maxResultBytes / 1024 / 1024}u << 20)`);
  expect(header).toContain(`#define MAX_STREAM (${maxStreamBytes / 1024 / 1024}u << 20)`);
  expect(header).toContain(`#define STDIN_WINDOW (${stdinWindowBytes / 1024}u << 10)`);
  expect(header).toContain(`#define CHANGES_OVERHEAD (${changesOverheadBytes / 1024 / 1024}u << 20)`);
  expect(header).toContain(`#define CHANGES_WITHIN ${changesWithinMs * 1000}u`);
  expect(serviceId).toBe(sandboxIdBase + sandboxIdCount);
  expect(header).toContain(`#define IMAGE_ID_COUNT ${sandboxIdCount}u`);
  expect(header).toContain(`#define MAX_SANDBOXES ${maxSandboxes}`);
  expect(header).toContain(`#define MAX_FRAME (${maxFrameBytes / 1024 / 1024}u << 20)`);
});

test('the ids of zones lie apart from each other, from those that are shared and from what the kernel takes for none', () => {
  // The gateway's is the one behind the services'.
  expect(ownIdBase).toBeGreaterThan(serviceId + 1);
  expect(ownIdStride).toBeGreaterThan(maxSandboxes);
  expect(ownIdBase + maxZones * ownIdStride).toBeLessThan(2 ** 31);
});

test('the flags are the same in C and in TypeScript', () => {
  const flagsOf = (name: string, prefix: string) =>
    Object.fromEntries(Object.entries(enumOf(name)).map(([key, value]) => [key.replace(prefix, ''), value]));
  expect(flagsOf('spec_flags', 'SPEC_')).toEqual(specFlag);
  expect(flagsOf('run_flags', 'RUN_')).toEqual(runFlag);
  expect(flagsOf('report_known', 'KNOWN_')).toEqual(reportKnown);
  expect(flagsOf('residue', 'RESIDUE_')).toEqual(residueFlag);
});

test('the structures are as long in C as in TypeScript', () => {
  expect(encodeLimits(defaultLimits())).toHaveLength(structBytes('run_limits'));
  const spec = encodeSpec({ layers: ['a'], workingDir: '/', scratch: true });
  expect(spec.subarray(structBytes('spec_head')).toString()).toBe('/\0a\0');
  const report = Buffer.alloc(structBytes('run_report') + 3, 0);
  expect(decodeReport(report).result).toHaveLength(3);
  expect(decodeInputTaken(Buffer.alloc(structBytes('input_taken')))).toEqual({ bytes: 0, signals: 0 });
  const limits = { memoryBytes: 1, diskBytes: 1, diskInodes: 1, pids: 1, cpus: 1, wallMs: 1 };
  expect(encodeBuildLimits(limits)).toHaveLength(structBytes('build_limits'));
  const built = Buffer.alloc(structBytes('build_report'));
  built.writeUInt32LE(7, built.length - 4);
  expect(decodeBuildReport(built)).toMatchObject({ cause: 'exited', pidsRefused: 7 });
  const unpacked = Buffer.concat([Buffer.alloc(structBytes('unpack_report')), Buffer.from('a\0b\0')]);
  expect(decodeUnpackReport(unpacked).skipped).toEqual(['a', 'b']);
});

test('each field of a report is where C has it', () => {
  const sizes: Record<string, number> = { uint64_t: 8, uint32_t: 4, int32_t: 4, uint8_t: 1 };
  const body = /struct run_report \{([^}]*)\}/.exec(header)?.[1] ?? '';
  const payload = Buffer.alloc(structBytes('run_report'));
  let at = 0;
  const values: Record<string, number> = {};
  for (const [index, [, type, name]] of [...body.matchAll(/^\s*(u?int\d+_t) (\w+);/gm)].entries()) {
    payload[at] = name === 'cause' ? 1 : name === 'known' ? 3 : index + 10;
    values[name as string] = payload[at] as number;
    at += sizes[type as string] as number;
  }
  expect(decodeReport(payload)).toMatchObject({
    cause: 'wall',
    exitCode: values.exit_code,
    oomKills: values.oom_kills,
    cpuUsec: values.cpu_usec,
    memoryPeakBytes: values.memory_peak_bytes,
    startUsec: values.start_usec,
    runUsec: values.run_usec,
    cpuUserUsec: values.cpu_user_usec,
    cpuSystemUsec: values.cpu_system_usec,
    throttledUsec: values.throttled_usec,
    writtenBytes: values.disk_peak_bytes,
    writtenInodes: values.disk_peak_inodes,
    pressure: {
      cpuUsec: values.cpu_pressure_usec,
      memoryUsec: values.memory_pressure_usec,
      ioUsec: values.io_pressure_usec,
    },
    pidsPeak: values.pids_peak,
  });
  payload[at - 1] = 0;
  expect(decodeReport(payload)).not.toHaveProperty('pidsPeak');
  expect(decodeReport(payload)).not.toHaveProperty('pressure');
});

test('what could not be taken away is told', () => {
  expect(decodeResidue(Buffer.from([0, 0, 0, 0]))).toEqual({ cgroup: false });
  expect(decodeResidue(Buffer.from([residueFlag.CGROUP, 0, 0, 0]))).toEqual({ cgroup: true });
});

test('frames come out as they went in, however the stream is cut', () => {
  const frames = [encodeFrame(frameType.STDOUT, 7, Buffer.from('abc')), encodeFrame(frameType.GONE, 8)];
  const stream = Buffer.concat(frames);
  for (let size = 1; size <= stream.length; size++) {
    const decoder = new FrameDecoder();
    const heard = [];
    for (let at = 0; at < stream.length; at += size)
      heard.push(...decoder.push(stream.subarray(at, at + size)));
    expect(heard).toEqual([
      { type: frameType.STDOUT, sandbox: 7, payload: Buffer.from('abc') },
      { type: frameType.GONE, sandbox: 8, payload: Buffer.alloc(0) },
    ]);
  }
});

test('a frame that claims to be larger than any is refused', () => {
  const header = Buffer.alloc(9);
  header.writeUInt32LE(0xffffffff, 0);
  expect(() => [...new FrameDecoder().push(header)]).toThrow('malformed frame');
});
