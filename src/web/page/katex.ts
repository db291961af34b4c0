import katex from 'katex';
import 'katex/dist/katex.min.css';

/** Writes a formula into an element; false where it cannot be read. Builds nodes, so that no style stands in the page's text. */
export function typeset(latex: string, into: HTMLElement): boolean {
  try {
    katex.render(latex, into, { displayMode: true, output: 'htmlAndMathml', strict: false });
    return true;
  } catch (error) {
    if (!(error instanceof katex.ParseError)) throw error;
    into.replaceChildren();
    return false;
  }
}
