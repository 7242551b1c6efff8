import { readFile, stat } from 'node:fs/promises';
import type { Attack } from './attack.ts';
import { endedByWall } from './ended-by-wall.ts';
import { type Called, callFunction, deployProgram } from './functions.ts';
import type { Ground } from './ground.ts';
import { programPath } from './programs.ts';
import { must } from './verdict.ts';

const group = 'result-channel';
const program = 'result-channel.py';

interface Act {
  title: string;
  /** Outcomes that are clear; `ok` only with what is listed in `values`. */
  ends: string[];
  values?: unknown[];
}

const failures = ['exited', 'function_error', 'signaled', 'limit_exceeded'];

const acts: Record<string, Act> = {
  close: { title: 'closed', ends: failures },
  replace: { title: 'replaced by a file', ends: failures },
  'replace-by-socket': { title: 'replaced by a socket', ends: failures },
  link: {
    title: 'closed, with links to the shadow file of the host where a result might be read',
    ends: failures,
  },
  garbage: { title: 'written garbage', ends: failures },
  'garbage-with-end': { title: 'written garbage that ends the program', ends: failures },
  twice: { title: 'written two results of its own before the true one', ends: failures },
  'forge-and-end': { title: 'written a result and an end that are forged', ends: ['ok'], values: ['forged'] },
  'forge-shapes': { title: 'written a result of hostile shape', ends: ['ok', ...failures], values: [1] },
  'forge-header': {
    title: 'written a result whose numbers are headers of HTTP',
    ends: ['ok', ...failures],
    values: [1],
  },
  deep: { title: 'written JSON of 200,000 levels', ends: failures },
  huge: { title: 'written more than a result may have', ends: failures },
  grandchild: {
    title: 'written by a grandchild that outlives its parent',
    ends: ['ok', ...failures],
    values: ['honest', 'forged'],
  },
  never: { title: 'written half a result, and nothing more', ends: ['timeout'] },
};

function channel(what: string, { title, ends, values = [] }: Act): Attack {
  return {
    id: `result-${what}`,
    group,
    title: `the channel of the result, ${title}`,
    must: 'a clear outcome, and no other invocation hears of it; no file of the host read or changed',
    async attack(ground) {
      const shadow = await stateOfShadow();
      await deployProgram(ground, 'result-channel', program, { zygote: false });
      const marks = [1, 2, 3].map((n) => `mark-${what}-${n}`);
      const others = () =>
        marks.map((mark) => callFunction(ground, 'result-channel', { what: 'echo', mark }));
      const [called, ...echoes] = await Promise.all([
        what === 'never' ? callNever(ground) : callFunction(ground, 'result-channel', { what }),
        ...others(),
      ]);
      const { outcome } = called.record;
      must(ends.includes(outcome?.status ?? 'none'), 'the outcome is not clear', {
        outcome,
        body: called.body,
      });
      must(called.headers.get('set-cookie') === null, 'a header of its own is in the reply', outcome);
      if (outcome?.status === 'ok')
        must(values.includes(outcome.result), 'a result that nobody wrote', outcome);
      const after = await Promise.all(others());
      const heard = [...echoes, ...after].map(({ body }) => body);
      must(heard.join() === [...marks, ...marks].join(), 'another invocation has another result', heard);
      must((await stateOfShadow()) === shadow, "the host's file has changed", await stateOfShadow());
    },
    control: findsItsChannel,
  };
}

/** Ended by its wall time, and by one that is long enough for it to have written what it would. */
async function callNever(ground: Ground): Promise<Called> {
  const ran = await endedByWall(
    ground,
    async (wallMs) => {
      const limits = { ...ground.patientLimits, wallMs };
      await deployProgram(ground, 'result-channel-never', program, { zygote: false, limits });
      return callFunction(ground, 'result-channel-never', { what: 'never' });
    },
    ({ record }) => record,
  );
  must(ran.record.stdout === 'written\n', 'it has not written its half', ran.record);
  return ran;
}

/** Outside, with a pipe of ours as its channel: what the program writes there is what we read. */
async function findsItsChannel({ outside }: Ground): Promise<void> {
  const script = 'python3 "$0" twice 7>&1 1>/dev/null | cat';
  const { stdout } = await outside.run(['bash', '-c', script, programPath(program)]);
  const forged = '{"type": "result", "value": "forged"}';
  must(`${stdout}` === forged + forged, 'the channel was not found', `${stdout}`);
}

async function stateOfShadow(): Promise<string> {
  const { uid, gid, mode, size, ctimeMs } = await stat('/etc/shadow');
  return [uid, gid, mode, size, ctimeMs].join();
}

/** No line of another file. */
async function firstOfShadow(): Promise<string> {
  return (await readFile('/etc/shadow', 'utf8')).split('\n', 1)[0] ?? '';
}

const files: Attack = {
  id: 'result-files',
  group,
  title: 'files of the invocation, asked for as an archive, that are links to files of the host',
  must: 'links stay links; no file of the host is read, nor its owner changed',
  async attack(ground) {
    const shadow = await stateOfShadow();
    const code = [
      'import os',
      'for n, target in enumerate(["/etc/shadow", "/proc/1/environ", "/proc/self/root/etc/shadow", "../../../../etc/shadow"]):',
      '    os.symlink(target, f"/work/link{n}")',
      'os.mkdir("/work/out"); os.symlink("/etc", "/work/out/etc")',
      'os.mkfifo("/work/fifo")',
      'os.link("/work/fifo", "/work/fifo2")',
      'import socket; socket.socket(socket.AF_UNIX).bind("/work/socket")',
    ].join('\n');
    const ran = await ground.run({ runtime: 'python', code, diff: 'archive' });
    must(ran.outcome?.status === 'ok', 'the program failed', ran);
    must(ran.diffError === undefined, 'the changes could not be had', ran.diffError);
    const archive = await new Response(await ground.client.invocationFiles(ran.id)).text();
    must(
      archive.includes('link0') && archive.includes('/etc/shadow'),
      'the links are not in the archive',
      archive.length,
    );
    const isRead = archive.includes(await firstOfShadow()) || archive.includes('ONCEBOX_');
    must(!isRead, 'a file of the host is in the archive', ran.changes);
    must((await stateOfShadow()) === shadow, "the host's file has changed", await stateOfShadow());
  },
  async control({ outside }) {
    const ran = await outside.run(['sh', '-c', 'ln -s /etc/shadow link && tar -chf - link']);
    must(
      ran.stdout.includes(await firstOfShadow()),
      'an archive that follows links has no shadow file',
      ran.stderr,
    );
  },
};

const other: Attack = {
  id: 'result-other',
  group,
  title: 'a result that names another invocation, which runs meanwhile, as its own',
  must: 'it is the result of who wrote it; the other has its own',
  async attack(ground) {
    await deployProgram(ground, 'result-channel', program, { zygote: false });
    const limits = { wallMs: ground.netMs };
    const victim = await ground.client.runAsync({ runtime: 'bash', code: 'sleep 1; echo honest', limits });
    const { record } = await callFunction(ground, 'result-channel', {
      what: 'forge-other',
      other: victim.id,
    });
    const isOwn = record.outcome?.status === 'ok' && record.outcome.result === 'forged';
    must(isOwn && record.id !== victim.id, 'who wrote it has another', record);
    const { outcome, stdout } = await ground.client.wait(victim.id);
    must(outcome?.status === 'ok' && stdout === 'honest\n', 'the other has another', { outcome, stdout });
    must(!('result' in outcome), 'the other has a result', outcome);
  },
  control: findsItsChannel,
};

export const resultChannelAttacks: readonly Attack[] = [
  ...Object.entries(acts).map(([what, act]) => channel(what, act)),
  other,
  files,
];
