// node --import tsx test/http/fuzz.ts [--requests N] [--seed S]: many hostile requests against a real daemon.
import { parseArgs } from 'node:util';
import { runFuzz } from './fuzz-run.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
});
const summary = await runFuzz({
  requests: Number(values.requests),
  seed: Number(values.seed),
  onProgress: (sent) => process.stderr.write(`${sent} sent\n`),
});
process.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`);
process.exit(summary.breaches.length === 0 ? 0 : 1);
