/**
 * Host ids that oncebox uses and that belong to no account. A zone maps `sandboxIdBase…+sandboxIdCount` to its
 * ids from 0, and `serviceId` as the last one, so that code layers unpacked by the worker are readable inside.
 */
export const sandboxIdBase = 0x7000_0000;
export const sandboxIdCount = 65_536;
/** The ordinary user and group that gateway, worker and embedded Redis run as when started by root. */
export const serviceId = sandboxIdBase + sandboxIdCount;
