import { randomBytes } from 'node:crypto';
import type { Attack } from './attack.ts';
import { callFunction, callUntilShared, deployProgram } from './functions.ts';
import { type Ground, saidBy } from './ground.ts';
import { must } from './verdict.ts';

const group = 'secrets';
const program = 'find-secret.py';

type Found = { early: string[]; late: string[] };

/** A new value of the secret, and how programs are told of it without having it. */
async function putSecret({ client }: Ground): Promise<{ value: string; coded: string }> {
  const value = randomBytes(24).toString('base64');
  await client.putSecret('TOKEN', { value });
  const coded = Buffer.from(Buffer.from(value).map((byte) => byte ^ 0x5a)).toString('hex');
  return { value, coded };
}

/** Its owner, and a function that does not name it. */
async function deployBoth(ground: Ground, coded: string): Promise<void> {
  const env = { CODED: coded };
  await deployProgram(ground, 'has-secret', program, { env, secrets: ['TOKEN'] });
  await deployProgram(ground, 'has-none', program, { env });
}

async function found(ground: Ground, name: string, event: object): Promise<Found> {
  const { body } = await callFunction(ground, name, event);
  must(typeof body === 'object' && body !== null && 'late' in body, 'the function failed', body);
  return body as Found;
}

/** The control of all: the function whose it is finds it. */
async function ownerFindsIt(ground: Ground): Promise<void> {
  const { coded } = await putSecret(ground);
  await deployBoth(ground, coded);
  const { late } = await found(ground, 'has-secret', { reads: true });
  must(
    late.includes('/run/secrets/TOKEN') && late.includes('memory'),
    'its own function does not find it',
    late,
  );
}

const neighbours: Attack = {
  id: 'secrets-neighbours',
  group,
  title:
    "looking for a function's secret while it holds it, and afterwards: /run/secrets, /proc of all processes, memory",
  must: 'nothing is there, for a snippet and for a function that does not name it',
  async attack(ground) {
    const { coded } = await putSecret(ground);
    await deployBoth(ground, coded);
    const holding = found(ground, 'has-secret', { reads: true, holdMs: ground.ms(2_000) });
    const look = () =>
      Promise.all([
        ground.program(program, { args: [coded] }).then((ran) => saidBy<string[]>(ran)),
        found(ground, 'has-none', {}).then(({ early, late }) => [...early, ...late]),
      ]);
    const [during, held, after] = [await look(), await holding, await look()];
    must(held.late.includes('memory'), 'nobody held it', held);
    must([...during, ...after].flat().length === 0, 'others find it', { during, after });
  },
  control: ownerFindsIt,
};

const zygote: Attack = {
  id: 'secrets-zygote',
  group,
  title:
    "a function's own secret, looked for by its initialisation in its zygote, and by a call anywhere but in its file",
  must: 'the zygote has none; a call has it as a file, and not in its environment, its arguments or a descriptor',
  async attack(ground) {
    const { coded } = await putSecret(ground);
    await deployBoth(ground, coded);
    const { body } = await callUntilShared(ground, 'has-secret');
    const { early, late } = body as Found;
    must(early.length === 0, 'its zygote finds it', early);
    // The search itself reads the file, and has it in memory then.
    const elsewhere = late.filter((where) => where !== 'memory' && !where.endsWith('/run/secrets/TOKEN'));
    must(elsewhere.length === 0, 'a call finds it elsewhere too', elsewhere);
  },
  control: ownerFindsIt,
};

const kept: Attack = {
  id: 'secrets-kept',
  group,
  title: "a function's secret in what is kept of its call: the record, its changes, the archive of its files",
  must: 'nothing of it; what the function itself writes is in its files',
  async attack(ground) {
    const { value, coded } = await putSecret(ground);
    await deployBoth(ground, coded);
    const { record, archive } = await callWithArchive(ground, { reads: true });
    must(!record.includes(value) && !archive.includes(value), 'it is kept', record.slice(0, 1_000));
  },
  async control(ground) {
    const { value, coded } = await putSecret(ground);
    await deployBoth(ground, coded);
    const { archive } = await callWithArchive(ground, { reads: true, copies: true });
    must(archive.includes(value), 'a copy that it makes is not in its files', archive.length);
  },
};

async function callWithArchive({ client }: Ground, event: object) {
  const { invocationId } = await client.invoke('has-secret', event, { diff: 'archive' });
  const record = JSON.stringify(await client.invocation(invocationId));
  const archive = await new Response(await client.invocationFiles(invocationId)).text();
  return { record, archive };
}

export const secretAttacks: readonly Attack[] = [neighbours, zygote, kept];
