import { useState } from 'preact/hooks';
import type { ExportedText } from '../../server/answers/layers.ts';
import { address, useAsk } from '../ask.ts';
import { CopyButton } from './copy.tsx';
import { Answer, Section } from './states.tsx';

/** In the order in which they are wanted. */
const TARGETS = [
  'pytorch',
  'flax',
  'keras',
  'tfjs',
  'onnx',
  'latex',
  'svg',
  'dot',
  'json',
] as const;
const LAYOUTS = ['', 'nchw', 'nhwc'] as const;

/** A layer as code, formula, picture or data, to copy or to keep. */
export function Exports({ layer }: { readonly layer: string }) {
  const [to, setTarget] = useState<string>(TARGETS[0]);
  const [layout, setLayout] = useState<string>(LAYOUTS[0]);
  const query = { layer, to, layout };
  const asked = useAsk<ExportedText>(address('/api/layer/export', query), { live: false });
  return (
    <Section title="Exports">
      <div class="filters">
        <label class="field">
          <span>as</span>
          <select value={to} onChange={({ currentTarget }) => setTarget(currentTarget.value)}>
            {TARGETS.map((target) => (
              <option key={target}>{target}</option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>order of axes</span>
          <select value={layout} onChange={({ currentTarget }) => setLayout(currentTarget.value)}>
            {LAYOUTS.map((one) => (
              <option key={one} value={one}>
                {one || 'as the framework'}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Answer asked={asked} what="the export">
        {({ file, content }) => (
          <>
            <p class="links">
              {content !== null && <CopyButton text={content} what={file} />}
              <a href={address('/api/layer/file', query)} download={file}>
                Save {file}
              </a>
            </p>
            {content === null ? (
              <p class="note">This one is no text.</p>
            ) : (
              // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
              <pre class="code" tabIndex={0}>
                {content}
              </pre>
            )}
          </>
        )}
      </Answer>
    </Section>
  );
}
