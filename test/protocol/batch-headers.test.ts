import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isPattern } from '../../src/protocol/destination-pattern.ts';
import { encodeExtValue } from '../../src/protocol/ext-value.ts';
import { cleanPath, pathProblem } from '../../src/protocol/names.ts';
import { decodeUploadHeaders, encodeBatchHeaders } from '../../src/protocol/upload-headers.ts';

test('decodeUploadHeaders() reads several destinations, and keeps one plain name as it is', () => {
  const read = (...headers: string[]) => decodeUploadHeaders(['X-File-Path', '/srv/a', ...headers]).batch;
  assert.equal(read('X-Container-Name', 'c1'), undefined);
  assert.deepEqual(read('X-Container-Name', 'c1, c2,c1'), {
    destinations: [{ names: ['c1', 'c2'], path: '/srv/a' }],
    allWith: [],
  });
  assert.deepEqual(
    read('X-Container-Name', 'c?', 'X-Also-To', 'db:/b, c:/d', 'X-Also-To*', "UTF-8''e%2F%C3%BC"),
    {
      destinations: [
        { names: ['c?'], path: '/srv/a' },
        { names: ['db'], path: '/b, c:/d' },
        { names: ['e'], path: '/ü' },
      ],
      allWith: [],
    },
  );
  assert.deepEqual(read('X-All-With', 'user.role=web', 'X-All-With', 'user.x=a=b'), {
    destinations: [{ names: ['*'], path: '/srv/a' }],
    allWith: [
      { key: 'user.role', value: 'web' },
      { key: 'user.x', value: 'a=b' },
    ],
  });
});

test('decodeUploadHeaders() reads the batch that encodeBatchHeaders() writes', () => {
  const name = fc.stringMatching(/^[a-z]([a-z0-9*?-]{0,10}[a-z0-9*?])?$/);
  const path = fc
    .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }), { maxLength: 3 })
    .map((names) => cleanPath(`/${names.join('/')}`))
    .filter((text) => pathProblem(text) === undefined);
  const plain = { noNullPrototype: true };
  const destination = fc.record({ names: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }), path }, plain);
  const filter = fc.record({
    key: fc.stringMatching(/^[a-z.]{1,9}$/),
    value: fc.string({ unit: 'grapheme' }),
  });
  const batch = fc
    .record({
      destinations: fc.array(destination, { minLength: 2, maxLength: 4 }),
      allWith: fc.array(filter, { maxLength: 2 }),
    })
    .filter(
      ({ destinations, allWith }) =>
        allWith.length === 0 || destinations.some(({ names }) => names.some(isPattern)),
    );
  fc.assert(
    fc.property(batch, (value) => {
      const [first] = value.destinations;
      const raw = [
        'X-Container-Name',
        first?.names.join(',') ?? '',
        'X-File-Path*',
        encodeExtValue(first?.path ?? ''),
      ];
      raw.push('X-Host-Path', 'file');
      for (const [header, texts] of Object.entries(encodeBatchHeaders(value)))
        for (const text of texts) raw.push(header, text);
      assert.deepEqual(decodeUploadHeaders(raw).batch, {
        ...value,
        allWith: value.allWith.map((one) => ({ ...one })),
      });
    }),
  );
});
