import { isIPv4 } from 'node:net';

/**
 * By name or address, as it is written: a name that resolves to a loopback address may resolve to another tomorrow. IPv6
 * without brackets.
 */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
