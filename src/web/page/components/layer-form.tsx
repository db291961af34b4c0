import { useState } from 'preact/hooks';
import { useLocation } from 'wouter-preact';
import { layerLink } from '../links.ts';

/** Asks for a layer by its name. */
export function LayerForm({ zoo }: { readonly zoo: readonly string[] }) {
  const [text, set] = useState('');
  const [, go] = useLocation();
  return (
    <form
      class="filters"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') go(layerLink(text.trim()));
      }}
    >
      <label class="field wide">
        <span>layer</span>
        <input
          value={text}
          list="zoo"
          maxLength={4000}
          onInput={({ currentTarget }) => set(currentTarget.value)}
        />
      </label>
      <ZooNames zoo={zoo} />
      <button type="submit">Show</button>
    </form>
  );
}

export const ZooNames = ({ zoo }: { readonly zoo: readonly string[] }) => (
  <datalist id="zoo">
    {zoo.map((name) => (
      <option key={name} value={name} />
    ))}
  </datalist>
);
