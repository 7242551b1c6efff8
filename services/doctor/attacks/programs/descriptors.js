// Which descriptors it was given, and where they lead.
const { readdirSync, readlinkSync } = require('node:fs');

const found = [];
for (const name of readdirSync('/proc/self/fd')) {
  try {
    found.push(readlinkSync(`/proc/self/fd/${name}`));
  } catch {
    // The one of the listing itself.
  }
}
console.log(JSON.stringify(found));
