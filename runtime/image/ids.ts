/**
 * Host ids that oncebox uses and that belong to no account. A zone maps them, from `sandboxIdBase` on, to its ids from 0:
 * first those of images, `sandboxIdCount` of them; then `serviceId`, so that code layers unpacked by the worker are
 * readable inside; then the zone's administrator; then a user of its own for every sandbox of a zone.
 */
export const sandboxIdBase = 0x7000_0000;
export const sandboxIdCount = 65_536;
/** The ordinary user and group that gateway, worker and embedded Redis run as when started by root. */
export const serviceId = sandboxIdBase + sandboxIdCount;
/** Inside a zone: agent, zygote and the inits of sandboxes. */
export const administratorId = sandboxIdCount + 1;
/** Inside a zone: the first of the sandboxes' own users. */
export const firstOwnId = administratorId + 1;
