// Sums vitest's JSON and pytest's JUnit reports into one line. A report that is missing or counts no
// test fails, as failed tests do; with --whole, skipped ones too.
import { readFileSync } from 'node:fs';

const READERS = {
  json(text) {
    const report = JSON.parse(text);
    return {
      passed: report.numPassedTests,
      // A file that cannot be loaded has no tests of its own.
      failed: report.numFailedTests + (report.success || report.numFailedTests ? 0 : 1),
      skipped: report.numPendingTests + report.numTodoTests,
    };
  },
  xml(text) {
    const suite = /<testsuite [^>]*>/.exec(text)?.[0] ?? '';
    const count = (name) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1]);
    const [failed, skipped] = [count('failures') + count('errors'), count('skipped')];
    return { passed: count('tests') - failed - skipped, failed, skipped };
  },
};

const [whole, paths] =
  process.argv[2] === '--whole' ? [true, process.argv.slice(3)] : [false, process.argv.slice(2)];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const path of paths) {
  const counts = READERS[path.split('.').at(-1)](readFileSync(path, 'utf8'));
  if (!(counts.passed + counts.failed > 0)) throw new Error(`${path} counts no test`);
  for (const name of Object.keys(total)) total[name] += counts[name];
}
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
if (failed > 0 || (whole && skipped > 0)) process.exitCode = 1;
