/** JSON that keeps NaN and the infinities, which plain JSON turns into null. */
const NON_FINITE: Readonly<Record<string, number>> = {
  '#NaN': Number.NaN,
  '#Infinity': Number.POSITIVE_INFINITY,
  '#-Infinity': Number.NEGATIVE_INFINITY,
};

export const encode = (value: unknown): string =>
  JSON.stringify(value, (_key, v) => (typeof v === 'number' && !Number.isFinite(v) ? `#${v}` : v));

export const decode = (text: string): unknown =>
  JSON.parse(text, (_key, v) =>
    typeof v === 'string' && Object.hasOwn(NON_FINITE, v) ? NON_FINITE[v] : v,
  );
