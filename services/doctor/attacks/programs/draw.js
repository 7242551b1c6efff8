// What must differ between two runs: random numbers of all kinds, ids, names of temporary directories.
const crypto = require('node:crypto');
const fs = require('node:fs');
const vm = require('node:vm');

console.log(
  JSON.stringify({
    random: Math.random(),
    again: Math.random(),
    'random of a context': vm.runInNewContext('Math.random()'),
    uuid: crypto.randomUUID(),
    'web uuid': globalThis.crypto.randomUUID(),
    bytes: crypto.randomBytes(8).toString('hex'),
    int: crypto.randomInt(2 ** 40),
    values: String(globalThis.crypto.getRandomValues(new Uint32Array(2))),
    key: crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }).d,
    name: fs.mkdtempSync('/tmp/x'),
  }),
);
