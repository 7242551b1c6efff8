import { once } from 'node:events';
import { dropPrivileges } from '../../services/shared/drop-privileges.ts';

// A process of its own, since it gives up root: says who it is.
dropPrivileges({ uid: Number(process.argv[2]), gid: Number(process.argv[3]) });
console.log(
  JSON.stringify({ uid: process.getuid?.(), gid: process.getgid?.(), groups: process.getgroups?.() }),
);
await once(process.stdin.resume(), 'end');
