import { spawnSync } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { CommandError } from './progress.mjs';

/**
 * One set-up at a time on this machine: `npm start` and `npm test` in two terminals both run it. The lock is flock(2)
 * on an open file of ours, which the kernel releases when we end, however we end. Node has no flock, so flock(1)
 * locks the descriptor it inherits; the lock belongs to the open file, which stays open here.
 */
export function holdLock() {
  // flock comes with what is installed under the lock; a system without it has nothing to lock yet.
  if (!['/usr/bin/flock', '/bin/flock'].some((path) => existsSync(path))) return;
  const directory = existsSync('/run/lock') ? '/run/lock' : '/run';
  const file = openSync(`${directory}/oncebox-setup.lock`, 'a', 0o600);
  const lock = (...options) =>
    spawnSync('flock', [...options, '3'], { stdio: ['ignore', 'inherit', 'inherit', file] });
  if (lock('--nonblock').status === 0) return;
  console.log('waiting for another set-up on this machine to finish');
  const { status } = lock();
  if (status !== 0) throw new CommandError(`cannot take the set-up lock ${directory}/oncebox-setup.lock`);
}
