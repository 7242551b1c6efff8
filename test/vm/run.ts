import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundle } from '../../scripts/bundle.mjs';
import { loadConfig } from '../../services/shared/config.ts';
import { busybox, installTools, qemu, unpackKernel } from './debian.ts';
import { buildInitramfs, mountTag } from './initramfs.ts';

const cacheDir = '/var/cache/oncebox-vm';
/** A net: all attacks take half an hour, emulated, and more where others are at work beside. */
const bootAndChecksMs = 7_200_000;
/** To power off, once all is counted: a guest that stands still in that has nothing more to say. */
const powerOffMs = 60_000;
const repository = fileURLToPath(new URL('../..', import.meta.url));
const programs = join(repository, 'build/vm');

const { storeDir } = loadConfig();
const launcher = join(repository, 'runtime/native/build/oncebox-launcher');
for (const path of [launcher, join(storeDir, 'layers')]) {
  if (!existsSync(path)) throw new Error(`cannot run the VM tests: ${path} is missing; run "npm run setup"`);
}

// Emulated, every module that is loaded counts.
await bundle(repository, programs, { guest: 'test/vm/guest.ts' });
await promisify(execFile)('make', ['-C', join(repository, 'runtime/native'), 'probe']);
await installTools();
const kernel = await unpackKernel(cacheDir);
const workDir = await mkdtemp(join(tmpdir(), 'oncebox-vm-'));
try {
  const initramfs = await buildInitramfs({
    workDir,
    busybox,
    modulesDir: join(kernel, 'lib/modules'),
    command: `cd ${quote(repository)} && ${selection()} ${quote(process.execPath)} ${quote(join(programs, 'guest.mjs'))} ${quote(storeDir)}`,
  });
  process.exitCode = (await boot(await kernelImage(kernel), initramfs)) ? 0 : 1;
} finally {
  await rm(workDir, { recursive: true, force: true });
}

/** For one who works on a part: `ONCEBOX_VM` is `zones` or `attacks`, `ONCEBOX_ATTACKS` names groups or ids of attacks. */
function selection(): string {
  const { ONCEBOX_VM = '', ONCEBOX_ATTACKS = '' } = process.env;
  return `ONCEBOX_VM=${quote(ONCEBOX_VM)} ONCEBOX_ATTACKS=${quote(ONCEBOX_ATTACKS)}`;
}

async function kernelImage(directory: string): Promise<string> {
  const name = (await readdir(join(directory, 'boot'))).find((file) => file.startsWith('vmlinuz-'));
  if (name === undefined) throw new Error(`cannot boot: no kernel in ${directory}/boot`);
  return join(directory, 'boot', name);
}

/** Relays the serial console. Resolves with true when the guest counted at least one check passed and none failed. */
async function boot(image: string, initramfs: string): Promise<boolean> {
  const vm = spawn(qemu, qemuArguments(image, initramfs), { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => vm.once('close', resolve));
  const deadline = setTimeout(() => {
    console.error(`the VM took longer than ${bootAndChecksMs / 1000} s`);
    vm.kill('SIGKILL');
  }, bootAndChecksMs);
  let passed = false;
  let grace: NodeJS.Timeout | undefined;
  for await (const line of createInterface({ input: vm.stdout })) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the firmware paints its screen with them
    console.log(line.replace(/\x1b\[[0-9;?]*[a-zA-Z]|\x1bc|\r/g, ''));
    const summary = /^(\d+) passed, (\d+) failed/.exec(line);
    if (summary === null) continue;
    passed = Number(summary[1]) > 0 && summary[2] === '0';
    grace ??= setTimeout(() => vm.kill('SIGKILL'), powerOffMs);
  }
  await ended;
  clearTimeout(deadline);
  clearTimeout(grace);
  return passed;
}

function qemuArguments(image: string, initramfs: string): string[] {
  return [
    // Software emulation: it works where the machine is itself a guest. "max" has a random-number instruction, so
    // that nothing waits for entropy.
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '4096'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
    ...[
      '-kernel',
      image,
      '-initrd',
      initramfs,
      '-append',
      'console=ttyS0 loglevel=2 panic=-1 random.trust_cpu=on',
    ],
    // security_model=none shows the files' true owners, which is what id maps are about; remap, because the host's
    // root is more than one file system and inode numbers would collide.
    ...['-fsdev', 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', `virtio-9p-pci,fsdev=host,mount_tag=${mountTag}`],
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
