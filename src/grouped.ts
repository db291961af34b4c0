/** A number with commas between its thousands. By hand: the first `toLocaleString` of a process takes 15 ms. */
export function grouped(value: number): string {
  const [whole, ...fraction] = String(value).split('.');
  return [whole!.replace(/\B(?=(\d{3})+$)/g, ','), ...fraction].join('.');
}
