import fc from 'fast-check';

/** Random cases are the same in every run; $EVOLAYER_SEED is another number to draw them from, or `random`. */
const { EVOLAYER_SEED: chosen = '1' } = process.env;

if (chosen !== 'random') {
  const seed = Number(chosen);
  if (!Number.isSafeInteger(seed))
    throw new Error(`$EVOLAYER_SEED is ${chosen}; it must be an integer, or random`);
  fc.configureGlobal({ seed });
}
