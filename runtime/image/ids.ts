/**
 * Host ids that oncebox uses and that belong to no account. A zone maps them, from `sandboxIdBase` on, to its ids from 0:
 * first those of images, `sandboxIdCount` of them; then `serviceId`, so that code layers unpacked by the worker are
 * readable inside. These all zones share. Then, from a range of the zone's own, come its administrator and a user of its
 * own for every sandbox: zone n has the ids from `ownIdBase` + n × `ownIdStride` on.
 */
export const sandboxIdBase = 0x7000_0000;
export const sandboxIdCount = 65_536;
/** The ordinary user and group that gateway, worker and embedded Redis run as when started by root. */
export const serviceId = sandboxIdBase + sandboxIdCount;
/** Inside a zone: agent, zygote and the inits of sandboxes. */
export const administratorId = sandboxIdCount + 1;
/** Inside a zone: the first of the sandboxes' own users. */
export const firstOwnId = administratorId + 1;
/** On the host: the administrator of the launcher's first zone, and how far it is to that of the next. */
export const ownIdBase = 0x7002_0000;
export const ownIdStride = 0x4000;
/** How many zones a launcher has at once. */
export const maxZones = 96;
