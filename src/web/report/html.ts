/** Text that is HTML already. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Markup | string | number | null | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
};

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign]!);

function textOf(part: Part): string {
  if (part === null) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part));
  return part.map(textOf).join('');
}

/** A template of HTML. Whatever is put into it shows as text, unless it is Markup. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Markup =>
  new Markup(strings.map((text, i) => (i === 0 ? '' : textOf(parts[i - 1]!)) + text).join(''));

export interface Cell<Row> {
  readonly head: string;
  readonly value: (row: Row) => Part;
  /** Numbers stand right-aligned. */
  readonly number?: true;
}

/** A table with a caption. */
export function table<Row>(
  caption: string,
  rows: readonly Row[],
  cells: readonly Cell<Row>[],
): Markup {
  const classOf = ({ number }: Cell<Row>) => (number ? html` class="number"` : null);
  return html`<table>
<caption>${caption}</caption>
<thead><tr>${cells.map((cell) => html`<th scope="col"${classOf(cell)}>${cell.head}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${cells.map((cell) => html`<td${classOf(cell)}>${cell.value(row)}</td>`)}</tr>\n`)}</tbody>
</table>
`;
}

/** A picture that lies in the file itself. */
export const picture = (svg: string, alt: string): Markup =>
  html`<img src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}" alt="${alt}">\n`;
