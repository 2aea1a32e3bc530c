import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { Output } from '../../src/cli/output.ts';
import { createPlainView } from '../../src/cli/plain-view.ts';
import { createTransfer } from '../../src/cli/transfer.ts';

const SECOND = 1000;
let lines: string[];
let now: number;
const output = { err: (line: string) => lines.push(line) } as unknown as Output;
const open = (reports: boolean) => createPlainView(output, { reports, now: () => now, wall: () => now });

beforeEach(() => {
  lines = [];
  now = 0;
});

test('createPlainView() tells of a long upload every ten seconds, and no more', () => {
  const view = open(true);
  const transfer = createTransfer('site', 'web:/srv/', 100 * 2 ** 20, 1234);
  transfer.phase = 'sending';
  view.changed(transfer);
  for (now = 0; now <= 25 * SECOND; now += 100) {
    transfer.bytesSent = (now / SECOND) * 2 ** 20;
    view.changed(transfer);
    view.progressed(transfer);
  }
  assert.deepEqual(lines, [
    'site: sending 1,234 files, 100.0 MiB to web:/srv/',
    'site: sent 10%, 10.0 MiB of 100.0 MiB (1.0 MiB/s)',
    'site: sent 20%, 20.0 MiB of 100.0 MiB (1.0 MiB/s)',
  ]);
});

test('createPlainView() says what is known of a stream, and with --no-progress only changes', () => {
  const transfer = createTransfer('standard input', 'web:/x', undefined);
  transfer.phase = 'sending';
  transfer.bytesSent = 2 ** 20;
  const loud = open(true);
  const still = open(false);
  loud.changed(transfer);
  still.changed(transfer);
  now = 10 * SECOND;
  loud.progressed(transfer);
  still.progressed(transfer);
  assert.deepEqual(lines, [
    'standard input: sending to web:/x',
    'standard input: sending to web:/x',
    'standard input: sent 1.0 MiB (102.4 KiB/s)',
  ]);
});
