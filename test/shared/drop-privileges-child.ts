import { once } from 'node:events';
import { dropPrivileges } from '../../services/shared/drop-privileges.ts';
import { descendants } from '../support/host.ts';

// A process of its own, since it gives up root: says who it is, and how many children it has, before and after.
const before = (await descendants(process.pid)).length;
dropPrivileges({ uid: Number(process.argv[2]), gid: Number(process.argv[3]) });
console.log(
  JSON.stringify({ before, uid: process.getuid?.(), gid: process.getgid?.(), groups: process.getgroups?.() }),
);
await once(process.stdin.resume(), 'end');
