import { expect, test } from 'vitest';
import { useFunctionZones } from '../support/function-zones.ts';

const { initialised, ordinary } = useFunctionZones();

test('try node', async () => {
  const files = { 'index.mjs': 'let t=Date.now(); while(Date.now()-t<300); let n=0; await new Promise(r=>setTimeout(r,20)); export const handler = (e) => ({n: ++n, e, now: performance.now(), pid: process.pid, x: process.env.X, cwd: process.cwd(), r: Math.random()});' };
  const f = await initialised('node', files, {env:{X:'1'}});
  console.log(f.zone.initMs, await f.zone.memory());
  for (let i=0;i<3;i++) console.log((await f.call({a:1})).outcome);
  const o = await ordinary('node', files, {env:{X:'1'}});
  const c = await o.call();
  console.log(c.outcome, Buffer.from(c.report.result).toString());
});
test('try python', async () => {
  const files = { 'index.py': 'import time,os,random\ntime.sleep(0.3)\nn=0\ndef handler(e,c):\n  global n\n  n+=1\n  print("hi")\n  return dict(n=n,e=e,pid=os.getpid(),x=os.environ["X"],cwd=os.getcwd(),r=random.random())\n' };
  const f = await initialised('python', files, {env:{X:'1'}});
  console.log(f.zone.initMs, await f.zone.memory());
  for (let i=0;i<3;i++) console.log((await f.call({a:1})).outcome);
  const o = await ordinary('python', files, {env:{X:'1'}});
  const c = await o.call();
  console.log(c.outcome, Buffer.from(c.report.result).toString());
});
