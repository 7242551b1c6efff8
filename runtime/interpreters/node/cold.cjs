'use strict';
// A program in a sandbox that no zygote was forked into, but where node was started for it: that of an OCI runtime. All
// that a child of the zygote does is done by the same file; what it asks of the native part is done without one.
const { randomBytes } = require('node:crypto');
const { closeSync, readFileSync, writeFileSync } = require('node:fs');

const jobFd = 3;
const reallyExit = process.reallyExit.bind(process);

// In place of the addon, which would fork.
const path = '/.oncebox/zygote.node';
require.cache[path] = {
  id: path,
  filename: path,
  loaded: true,
  exports: {
    // Read when all is over. A program may write there too, and gains nothing: only its shape is believed.
    sendResult: (bytes) => writeFileSync('/.oncebox/result/result', bytes, { flag: 'a' }),
    exit: (code) => reallyExit(code),
    // There is no way to move node's own clock here, so its readings are moved.
    moveClock: () => false,
    random: () => randomBytes(4).readUInt32LE(),
  },
};
const { prepare, run } = require('/.oncebox/program.cjs');

const job = JSON.parse(readFileSync(jobFd, 'utf8'));
closeSync(jobFd);
// What node itself was started with; the program's own comes with the job.
for (const name of Object.keys(process.env)) delete process.env[name];
prepare();
run(job);
