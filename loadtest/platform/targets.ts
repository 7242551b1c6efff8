import type { Progress } from '../progress.ts';
import type { ScenarioContext } from '../scenario.ts';
import type { Settings } from '../settings.ts';
import { startOwnPlatform } from './own-platform.ts';

/** How scenarios come by a platform: the one at the address that was named, or one of their own that is gone afterwards. */
export function createTargets(
  { url }: Settings,
  progress: Progress,
  signal: AbortSignal,
): ScenarioContext['withTarget'] {
  return async (settings, work) => {
    if (url) return work({ url });
    const onComplaint = (text: string) => progress.note(text);
    const platform = await startOwnPlatform({ settings, signal, onComplaint });
    try {
      return await work({ url: platform.url, platform });
    } finally {
      await platform.close();
    }
  };
}
