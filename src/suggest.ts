import { distance } from 'fastest-levenshtein';

/** ` Did you mean X?` where one of the known names is close to `word`, else nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const lower = word.slice(0, 100).toLowerCase();
  const near = [...known]
    .map((name) => ({ name, steps: distance(lower, name.toLowerCase()) }))
    .filter(({ name, steps }) => steps <= Math.max(1, Math.floor(0.4 * name.length)))
    .sort((a, b) => a.steps - b.steps);
  return near[0] ? ` Did you mean ${near[0].name}?` : '';
}
