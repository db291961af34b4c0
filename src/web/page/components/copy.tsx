import { useEffect, useState } from 'preact/hooks';

/** Puts text on the clipboard, and says so. */
export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  const [said, say] = useState('');
  useEffect(() => say(''), [text]);
  const copy = async () => {
    try {
      await copyText(text);
      say('Copied');
    } catch {
      say('The browser does not allow it; select the text and copy it.');
    }
  };
  return (
    <span class="copy">
      <button type="button" onClick={() => void copy()}>
        Copy {what}
      </button>
      <span role="status">{said}</span>
    </span>
  );
}

/** Over plain HTTP from another machine browsers have no clipboard but this old one. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('not allowed');
}
