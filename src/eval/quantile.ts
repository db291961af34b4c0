/** Between the two values that it falls between, as NumPy does by default. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const [a, b] = [sorted[low]!, sorted[Math.ceil(place)]!];
  return a + (b - a) * (place - low);
}
