import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Config } from '../shared/config.ts';

/**
 * Makes this process the only one on its data directory. The lock is an abstract socket (unix(7)): the kernel
 * lets it go when we end, however we end, so there is never a stale one to judge. Whoever connects is told our
 * pid. Throws if another process has it.
 */
export async function lockInstance(config: Config): Promise<{ release(): void }> {
  const path = `\0oncebox-${config.instance}`;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`${process.pid}`);
  });
  try {
    server.listen(path);
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const owner = await ownerOf(path);
    throw new Error(
      `cannot start on ${config.ONCEBOX_DATA_DIR}: another oncebox${owner} runs on it; stop that, or set ONCEBOX_DATA_DIR`,
    );
  }
  server.unref();
  return { release: () => server.close() };
}

async function ownerOf(path: string): Promise<string> {
  try {
    let pid = '';
    for await (const chunk of connect(path)) pid += chunk;
    return ` (process ${pid})`;
  } catch {
    return '';
  }
}

/** Throws if the gateway could not listen. A port of 0 is always free. */
export async function checkPort(config: Config): Promise<void> {
  const { ONCEBOX_HOST: host, ONCEBOX_PORT: port } = config;
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'the port is taken' : (error as Error).message;
    throw new Error(`cannot listen on ${host}:${port}: ${why}; set ONCEBOX_PORT or ONCEBOX_HOST`);
  }
  server.close();
  await once(server, 'close');
}
