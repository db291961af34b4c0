// Sums vitest's JSON and pytest's JUnit reports into one line, below what failed. A report that is missing or
// counts no test fails, as failed tests do; with --whole, skipped ones too.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Lines of a failure's message that are repeated: enough to tell what was expected from what came. */
const LINES = 12;

const ENTITIES = { lt: '<', gt: '>', quot: '"', apos: "'", '#10': '\n', '#9': '\t', amp: '&' };
const unescaped = (text) =>
  text.replaceAll(/&(lt|gt|quot|apos|#10|#9|amp);/g, (_, name) => ENTITIES[name]);

const READERS = {
  json(text) {
    const report = JSON.parse(text);
    return {
      passed: report.numPassedTests,
      // A file that cannot be loaded has no tests of its own.
      failed: report.numFailedTests + (report.success || report.numFailedTests ? 0 : 1),
      skipped: report.numPendingTests + report.numTodoTests,
      failures: report.testResults.flatMap(({ name, message, assertionResults }) => [
        ...(message ? [`${name}\n${message}`] : []),
        ...assertionResults
          .filter(({ status }) => status === 'failed')
          .map(({ fullName, failureMessages }) => `${fullName}\n${failureMessages.join('\n')}`),
      ]),
    };
  },
  xml(text) {
    const suite = /<testsuite [^>]*>/.exec(text)?.[0] ?? '';
    const count = (name) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1]);
    const [failed, skipped] = [count('failures') + count('errors'), count('skipped')];
    const failures = [
      ...text.matchAll(
        /<testcase ([^>]*[^/])>(?:(?!<\/testcase>).)*?<(?:failure|error)[^>]* message="([^"]*)"/gs,
      ),
    ].map(([, test, message]) => `${/(?:^| )name="([^"]*)"/.exec(test)?.[1]}\n${message}`);
    return {
      ...{ passed: count('tests') - failed - skipped, failed, skipped },
      failures: failures.map(unescaped),
    };
  },
};

const [whole, paths] =
  process.argv[2] === '--whole' ? [true, process.argv.slice(3)] : [false, process.argv.slice(2)];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const path of paths) {
  const counts = READERS[path.split('.').at(-1)](readFileSync(path, 'utf8'));
  if (!(counts.passed + counts.failed > 0)) throw new Error(`${path} counts no test`);
  for (const name of Object.keys(total)) total[name] += counts[name];
  for (const failure of counts.failures)
    console.log(`${basename(path)}: ${failure.split('\n').slice(0, LINES).join('\n  ')}`);
}
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
if (failed > 0 || (whole && skipped > 0)) process.exitCode = 1;
