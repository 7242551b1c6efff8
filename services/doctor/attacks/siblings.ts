import type { Attack } from './attack.ts';
import { callUntilShared, deployProgram } from './functions.ts';
import { type Ground, saidBy } from './ground.ts';
import { must } from './verdict.ts';

const group = 'siblings';
const many = 12;

type Drawn = Record<string, string | number>;

function differ(id: string, title: string, program: string, kinds: (kind: string) => boolean): Attack {
  return {
    id,
    group,
    title,
    must: 'all differ',
    async attack(ground) {
      const drawn: Drawn[] = [];
      // Some at once, so that parked ones and new ones are among them.
      for (let round = 0; round < 3; round++) drawn.push(...(await drawAtOnce(ground, program, many / 3)));
      const repeated = repeatedKinds(drawn).filter(kinds);
      must(repeated.length === 0, 'siblings have the same', repeated);
    },
    async control({ outside }) {
      // Forks of one process that renew nothing.
      const code = [
        'import json, os, random, uuid',
        'for _ in range(3):',
        '    if os.fork() == 0: print(json.dumps({"random": random.Random.random(random._inst), "hash": hash("oncebox")}), flush=True); os._exit(0)',
        '    os.wait()',
      ].join('\n');
      // Python renews its generator after a fork by itself; a fork by the kernel's call alone does not.
      const plain = code
        .replace('os.fork()', 'ctypes.CDLL(None).fork()')
        .replace('import json', 'import ctypes, json');
      const ran = await outside.run(['python3', '-c', plain]);
      const drawn = `${ran.stdout}`
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Drawn);
      must(drawn.length === 3 && repeatedKinds(drawn).length === 2, 'forks outside differ', drawn);
    },
  };
}

/**
 * Python draws the seed of its hashes when it starts, and what is hashed stays so: forks have their zygote's. So it must be
 * another's in another zygote, and none that can be known beforehand.
 */
const hashSeed: Attack = {
  id: 'siblings-hash-seed',
  group,
  title: "the seed of python's hashes, in the runtime's zygote and in that of a function",
  must: 'another in each zygote, and not a fixed one; siblings share it until their zygote is replaced',
  async attack(ground) {
    const [drawn] = await drawAtOnce(ground, 'draw.py', 1);
    await deployProgram(ground, 'siblings-hash-seed', 'zygote.py');
    const { body } = await callUntilShared(ground, 'siblings-hash-seed');
    await ground.client.deleteFunction('siblings-hash-seed');
    const other = (body as { hash: number }).hash;
    must(typeof other === 'number' && other !== drawn?.hash, 'two zygotes have the same', [
      drawn?.hash,
      other,
    ]);
    const fixed = await ground.outside.run(['python3', '-c', 'print(hash("oncebox"))'], {
      env: { PYTHONHASHSEED: '0' },
    });
    must(![drawn?.hash, other].includes(Number(`${fixed.stdout}`)), 'it is the one without a seed', other);
  },
  async control({ outside }) {
    const draw = () =>
      outside.run(['python3', '-c', 'print(hash("oncebox"))'], { env: { PYTHONHASHSEED: '7' } });
    const [one, other] = [await draw(), await draw()];
    must(one.stdout.equals(other.stdout) && one.exitCode === 0, 'with one seed they differ', `${one.stdout}`);
  },
};

async function drawAtOnce(ground: Ground, program: string, count: number): Promise<Drawn[]> {
  const runs = Array.from({ length: count }, () => ground.program(program));
  return (await Promise.all(runs)).map((ran) => saidBy<Drawn>(ran));
}

function repeatedKinds(drawn: readonly Drawn[]): string[] {
  return Object.keys(drawn[0] ?? {}).filter(
    (kind) => new Set(drawn.map((one) => one[kind])).size < drawn.length,
  );
}

export const siblingAttacks: readonly Attack[] = [
  differ(
    'siblings-node',
    'node siblings that compare random numbers, UUIDs, keys and temporary names',
    'draw.js',
    () => true,
  ),
  differ(
    'siblings-python',
    'python siblings that compare random numbers, UUIDs, secrets and temporary names',
    'draw.py',
    (kind) => kind !== 'hash',
  ),
  hashSeed,
];
