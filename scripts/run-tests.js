// Runs the test files given, each in a process of its own, and lists at the end what was skipped and why.
// Started with `--import tsx`, which the processes of the tests inherit.
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const FILE_TIMEOUT_MS = 600_000;

const skipped = [];
let failures = 0;
const events = run({ files: process.argv.slice(2), concurrency: 2, timeout: FILE_TIMEOUT_MS });
events.on('test:pass', ({ name, file, skip }) => {
  if (skip !== undefined)
    skipped.push({ name, file, reason: skip === true || skip === '' ? 'no reason given' : skip });
});
events.on('test:fail', ({ todo }) => {
  if (todo === undefined) failures += 1;
});
const report = events.compose(new spec());
report.pipe(process.stdout, { end: false });
await finished(report, { writable: false });

if (skipped.length > 0) {
  console.log(`\nSkipped tests: ${skipped.length}`);
  for (const { name, reason } of skipped) console.log(`  ${name}: ${reason}`);
}
const skipsFail = process.env.CI === 'true' && skipped.length > 0;
if (skipsFail) console.log('With CI=true no test may be skipped.');
process.exit(failures > 0 || skipsFail ? 1 : 0);
