// As zygote.py, for node: its initialisation attacks the platform's own part in the same process.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';

for (const end = performance.now() + 250; performance.now() < end; );
const require = createRequire(import.meta.url);
const found = {};

function isZygote() {
  try {
    return fs.fstatSync(3).isSocket();
  } catch {
    return false;
  }
}

function attempt(name, act) {
  try {
    act();
    found[name] = 'OK';
  } catch (error) {
    found[name] = error.code ?? error.message;
  }
}

const attacks = {
  reach() {
    for (const path of ['/proc/1/environ', '/proc/1/mem', '/layers', '/sys/fs/cgroup', '/shell/root'])
      attempt(path, () => fs.openSync(path));
    for (const path of ['/tmp/new', '/function/new', '/work/new', '/.oncebox/zygote.cjs', '/new'])
      attempt(`write ${path}`, () => fs.writeFileSync(path, 'x'));
    attempt('processes', () => {
      if (!fs.readdirSync('/proc').some((name) => /^\d+$/.test(name))) throw new Error('none');
    });
    for (const signal of ['SIGKILL', 'SIGSTOP', 'SIGTERM']) {
      try {
        process.kill(1, signal);
      } catch {
        // Refused, or not felt: what counts is that it lives.
      }
    }
  },
  /** The platform's own functions, called by somebody else. */
  native() {
    const native = require('/.oncebox/zygote.node');
    for (const name of ['sendResult', 'silence', 'random'])
      attempt(name, () => native[name](Buffer.from('{}')));
    for (const key of Object.keys(found)) delete found[key];
  },
  serve() {
    require('/.oncebox/zygote.node').serve(0);
  },
  modules() {
    const program = require('/.oncebox/program.cjs');
    for (const name of Object.keys(program)) program[name] = () => {};
    require('/.oncebox/initialise.cjs').renewInitialised = () => {};
    JSON.parse = () => ({ kind: 'handler', handler: 'index.handler', eventJson: 'null', context: {} });
    process.exit = process.reallyExit = process.emit = () => {};
    for (const name of ['then', 'catch', 'finally']) Promise.prototype[name] = () => {};
  },
  daemon() {
    spawn('/bin/sleep', [process.env.NAME], { detached: true, stdio: 'ignore' }).unref();
  },
  events() {
    fs.writeSync(4, Buffer.alloc(16 * 40, 2));
  },
  close() {
    for (const fd of [3, 4, 5]) fs.closeSync(fd);
  },
  listen() {
    net.createServer().listen('\0oncebox').unref();
  },
  exit() {
    process.exit(0);
  },
  stack() {
    const deeper = () => deeper() + 1;
    Error.stackTraceLimit = Infinity;
    deeper();
  },
};

const attack = process.env.ATTACK ?? 'none';
if (isZygote() && attack !== 'none') attacks[attack]();

function privileges() {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const field = (name) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
  return { CapEff: field('CapEff'), Seccomp: field('Seccomp'), uid: process.getuid() };
}

export const handler = () => ({ found, privileges: privileges(), honest: true });
