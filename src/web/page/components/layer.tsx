import { useEffect, useRef, useState } from 'preact/hooks';
import { Link } from 'wouter-preact';
import { layerLink } from '../links.ts';

/** The name of a layer, which leads to it. */
export const LayerLink = ({ id, layer = id }: { readonly id: string; readonly layer?: string }) => (
  <Link href={layerLink(layer)} class="layer">
    {id}
  </Link>
);

/** The text form of a layer. */
export const Formula = ({ text }: { readonly text: string }) => <code class="formula">{text}</code>;

const COMMENT = /^%.*$/gm;

/** A formula of LaTeX, typeset; its text where that is not possible. */
export function Typeset({ latex, label }: { readonly latex: string; readonly label: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [failed, fail] = useState(false);
  useEffect(() => {
    let wanted = true;
    void import('../katex.ts').then(({ typeset }) => {
      if (wanted && place.current)
        fail(!typeset(latex.replaceAll(COMMENT, '').trim(), place.current));
    });
    return () => {
      wanted = false;
    };
  }, [latex]);
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by the keyboard */}
      <section ref={place} class="scroll typeset" aria-label={label} tabIndex={0} />
      {failed && <p class="note">The formula is too long to be typeset.</p>}
    </>
  );
}
