/** Throws where `text` is no well-formed XML, as far as SVG uses it: one root, closed tags, quoted attributes. */
export function tagsOf(text: string): string[] {
  const open: string[] = [];
  const tags: string[] = [];
  let rest = text.trim();
  const take = (pattern: RegExp) => {
    const [found, ...groups] = pattern.exec(rest) ?? [];
    if (found !== undefined) rest = rest.slice(found.length);
    return found === undefined ? null : groups;
  };
  while (rest !== '') {
    if (tags.length > 0 && open.length === 0) throw new Error(`behind the root: ${rest}`);
    const words = open.length > 0 && take(/^((?:[^<&]|&(?:amp|lt|gt|quot|apos|#\d+);)+)/);
    if (words) continue;
    const end = take(/^<\/([\w:-]+)\s*>/);
    if (end) {
      if (open.pop() !== end[0]) throw new Error(`</${end[0]}> closes nothing`);
      continue;
    }
    const start = take(
      /^<([\w:-]+)((?:\s+[\w:-]+="(?:[^"<&]|&(?:amp|lt|gt|quot|apos|#\d+);)*")*)\s*(\/?)>/,
    );
    if (!start) throw new Error(`no XML: ${rest.slice(0, 80)}`);
    tags.push(`${start[0]}${start[1]}`);
    if (start[2] === '') open.push(start[0]!);
  }
  if (open.length > 0) throw new Error(`open at the end: ${open}`);
  return tags;
}
