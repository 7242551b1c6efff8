import { copyStore as copyOf } from '../../services/doctor/attacks/store-copy.ts';
import { storeDir } from './zones.ts';

/** A store to change at will, with the base images of set-up: their files are linked where that is possible. */
export function copyStore(target: string): Promise<void> {
  return copyOf(storeDir, target);
}
