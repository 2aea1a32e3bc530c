import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogFormat } from '../../src/daemon/config.ts';
import { openLog } from '../../src/daemon/log.ts';
import { formatLogLine } from '../../src/daemon/log-line.ts';

function linesOf(format: LogFormat, write: (log: ReturnType<typeof openLog>) => void): string[] {
  const lines: string[] = [];
  write(openLog({ level: 'info', format, sink: { write: (line) => lines.push(line) } }));
  return lines;
}

test('openLog() writes records of the message and its fields in both formats', () => {
  const write = (log: ReturnType<typeof openLog>): void =>
    log.info({ address: 'unix:/run/x.sock' }, 'listening');
  const [json = ''] = linesOf('json', write);
  const record = JSON.parse(json);
  assert.deepEqual(Object.keys(record), ['level', 'time', 'address', 'msg']);
  assert.equal(record.level, 'info');
  assert.equal(record.msg, 'listening');
  const [text = ''] = linesOf('text', write);
  assert.match(
    text,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO {2}listening address=unix:\/run\/x\.sock\n$/,
  );
});

test('openLog() keeps quiet below its level', () => {
  assert.deepEqual(
    linesOf('json', (log) => log.debug('x')),
    [],
  );
});

test('openLog() quotes values with blanks and shows errors with their frames', () => {
  const [text = ''] = linesOf('text', (log) =>
    log.error({ err: new Error('no luck'), path: '/a b' }, 'failed'),
  );
  assert.match(text, /ERROR failed path="\/a b" error="no luck"\n {4}at /);
});

const hostile = fc.string({
  unit: fc.constantFrom(
    ...[
      'a',
      '"',
      "'",
      '\\',
      ' ',
      '=',
      '\n',
      '\r',
      '\t',
      '\0',
      '\u001b',
      '\u007f',
      '\u0085',
      '\u009b',
      '\u2028',
      '\u202e',
    ],
    '€',
    '\ud83d\ude00',
  ),
});

test('openLog() lets nothing that a client sent end a line or steer a terminal', () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, (message, name, value) => {
      for (const format of ['json', 'text'] as const) {
        const lines = linesOf(format, (log) => log.info({ [`x${name}`]: value, deep: { value } }, message));
        assert.equal(lines.length, 1);
        const [line = ''] = lines;
        assert.ok(line.endsWith('\n'));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come out
        assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
        if (format === 'json') assert.equal(JSON.parse(line)[`x${name}`], value);
      }
    }),
  );
});

test('formatLogLine() keeps a line that is no record', () => {
  assert.equal(formatLogLine('not\u001bjson\n'), '"not\\u001bjson"\n');
});
