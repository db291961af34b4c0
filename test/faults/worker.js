// Takes the place of dist/workers/evaluate.js in a copy of the package: commits the misdeeds of misdeeds.json,
// by functional key (`*`: any other), as often as it says, and evaluates otherwise.
import { appendFileSync, readFileSync } from 'node:fs';
import evaluate from './evaluate-real.js';
import { MISDEEDS } from './misdeeds.js';

const here = (name) => new URL(name, import.meta.url);
const plan = JSON.parse(readFileSync(here('misdeeds.json'), 'utf8'));

/** Counts over all processes: how often a job has begun, this time included. */
function attempt(key) {
  appendFileSync(here(`${key}.attempts`), '.');
  return readFileSync(here(`${key}.attempts`), 'utf8').length;
}

/** Waits in a system call for somebody who writes to the named pipe `gate`; nobody does, or the test. */
const waitAtGate = () => readFileSync(here('gate'));

export default function work(job) {
  const key = job.seed.split('/')[1];
  const { misdeed, times } = plan[key] ?? plan['*'] ?? {};
  if (misdeed === 'gate' && attempt(key) <= (times ?? Infinity)) waitAtGate();
  else if (misdeed && attempt(key) <= (times ?? Infinity)) return MISDEEDS[misdeed]();
  return evaluate(job);
}
