import { randomBytes } from 'node:crypto';
import type { Attack } from './attack.ts';
import { saidBy } from './ground.ts';
import { readProgram } from './programs.ts';
import { must } from './verdict.ts';

/** A mark, and how programs are told of it without having it. */
function newMark(): string {
  // As the programs decode it, without a NUL: the kernel lists those in names of sockets as another character.
  return Buffer.from(randomBytes(24).map((byte) => (byte === 0x5a ? 0x5b : byte))).toString('hex');
}

const residue: Attack = {
  id: 'residue-next-run',
  group: 'residue',
  title:
    'looking for what the run before left: files, IPC, keys, sockets, terminals, ports, host name, memory',
  must: 'nothing is there',
  async attack(ground) {
    // More runs than sandboxes are parked: those that were made before and those made after.
    for (let round = 0; round < 3; round++) {
      const args = [newMark()];
      const left = await ground.program('leave-residue.py', { args });
      must(left.stdout.split(',').length >= 8, 'too little was left to be found', left);
      const looks = Array.from({ length: 3 }, () => ground.program('find-residue.py', { args }));
      for (const looked of await Promise.all(looks)) {
        const found = saidBy<string[]>(looked);
        must(found.length === 0, 'the next run finds', found);
      }
    }
  },
  async control(ground) {
    const args = [newMark(), await readProgram('find-residue.py')];
    const found = saidBy<string[]>(await ground.program('leave-residue.py', { args }));
    const expected = [
      'file in /tmp',
      'file in /dev/shm',
      'shared memory',
      'semaphore',
      'message queue',
      'abstract socket',
      'port',
    ];
    const missing = expected.filter((name) => !found.includes(name));
    must(missing.length === 0, 'in the same sandbox it is not found', { missing, found });
  },
};

const memory: Attack = {
  id: 'residue-memory',
  group: 'residue',
  title: "looking through all of one's memory for what a sibling of the same zygote held",
  must: 'nothing is there',
  async attack(ground) {
    const args = [newMark()];
    // One that holds it while others are forked, and look.
    const code = `${await readProgram('leave-residue.py')}\nimport time\ntime.sleep(4)`;
    const holder = ground.run({ runtime: 'python', code, args });
    const looks = Array.from({ length: 4 }, () => ground.program('find-residue.py', { args }));
    for (const looked of await Promise.all(looks)) {
      const found = saidBy<string[]>(looked);
      must(found.length === 0, 'a sibling finds', found);
    }
    must((await holder).outcome?.status === 'ok', 'the one that held it failed', await holder);
  },
  async control(ground) {
    const args = [newMark()];
    const look = await readProgram('find-residue.py');
    const code = `import sys\nheld = bytes(b ^ 0x5A for b in bytes.fromhex(sys.argv[1]))\n${look}`;
    const found = saidBy<string[]>(await ground.run({ runtime: 'python', code, args }));
    must(found.includes('memory'), 'it does not find its own', found);
  },
};

export const residueAttacks: readonly Attack[] = [residue, memory];
