/** Pulls an image, to be killed on the way: `pull-child.ts STORE_DIR LAUNCHER_SOCKET REFERENCE`. */
import { join } from 'node:path';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import { openStore } from '../../runtime/image/store.ts';

const [dir = '', launcherSocket = '', reference = ''] = process.argv.slice(2);
const unpacker = openLayerUnpacker({ launcherSocket, layersDir: join(dir, 'layers') });
const task = { onEvent: () => console.log('event'), signal: new AbortController().signal };
await openStore(dir, { unpacker }).pull({ reference, insecure: true }, task);
