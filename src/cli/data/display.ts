import { createLogUpdate } from 'log-update';
import type { DataFile } from '../../eval/data-sources.ts';
import { bytes, clip, duration } from '../../format.ts';
import { note } from '../output.ts';

const LIVE_FRAME_SECONDS = 0.1;
const PLAIN_PAUSE_SECONDS = 10;

export interface DownloadDisplay {
  readonly progress: (bytes: number) => void;
  readonly say: (text: string) => void;
  readonly end: () => void;
}

/** How a download goes: a line that changes on a terminal, one now and then elsewhere. */
export function downloadDisplay(
  { name, bytes: total }: DataFile,
  stream: NodeJS.WriteStream = process.stderr,
): DownloadDisplay {
  const view = stream.isTTY ? createLogUpdate(stream) : null;
  const pause = view ? LIVE_FRAME_SECONDS : PLAIN_PAUSE_SECONDS;
  const now = () => performance.now() / 1000;
  const started = now();
  /** What was there before, which tells nothing of the speed. */
  let first: number | undefined;
  let drawn = started;
  const draw = (text: string) => (view ? view(clip(text, (stream.columns || 80) - 1)) : note(text));
  if (!view) note(`${name}: ${bytes(total)}`);
  return {
    progress(done) {
      first ??= done;
      if (now() - drawn < pause && done < total) return;
      drawn = now();
      const speed = (done - first) / (drawn - started);
      const left = speed > 0 ? `, ${bytes(speed)}/s, ${duration((total - done) / speed)} left` : '';
      draw(`${name}: ${bytes(done)} of ${bytes(total)}${left}`);
    },
    say(text) {
      view?.clear();
      note(text);
    },
    end: () => view?.done(),
  };
}
