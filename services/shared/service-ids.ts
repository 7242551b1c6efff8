/** A user and a group of the host. */
export interface HostIds {
  uid: number;
  gid: number;
}

/**
 * Who the services are on the host. The gateway, which reads what strangers send, is not the user that the launcher obeys
 * and that owns Redis and the store; the group lets it reach the sockets of Redis and of the node API.
 */
export function serviceIds(serviceId: number): Record<'worker' | 'gateway' | 'redis', HostIds> {
  const worker = { uid: serviceId, gid: serviceId };
  return { worker, redis: worker, gateway: { uid: serviceId + 1, gid: serviceId } };
}
