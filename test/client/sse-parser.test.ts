import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSseParser } from '../../src/client/sse-parser.ts';

test('createSseParser() reads fields, comments and several lines of data', () => {
  const parser = createSseParser();
  const events = parser.push(': hi\n\nid: 7\nevent: job\ndata: a\ndata:b\n\ndata\n\nevent: lost\n\n');
  assert.deepEqual(events, [
    { type: 'job', data: 'a\nb', id: '7' },
    { type: 'message', data: '', id: '7' },
  ]);
});

test('createSseParser() does not mind where the text is cut or how lines end', () => {
  const text = 'id: 1\nevent: job\ndata: {"a":1}\n\nid: 2\ndata: x\n\n';
  const whole = createSseParser().push(text);
  fc.assert(
    fc.property(fc.constantFrom('\n', '\r\n'), fc.array(fc.nat(text.length + 12)), (end, cuts) => {
      const written = text.replaceAll('\n', end);
      const parser = createSseParser();
      const places = [...new Set([0, ...cuts.filter((cut) => cut < written.length), written.length])].sort(
        (a, b) => a - b,
      );
      const events = places
        .slice(1)
        .flatMap((place, index) => parser.push(written.slice(places[index], place)));
      assert.deepEqual(events, whole);
    }),
  );
});
