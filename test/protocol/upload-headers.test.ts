import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../src/errors.ts';
import { isPattern } from '../../src/protocol/destination-pattern.ts';
import { encodeReprDigest } from '../../src/protocol/digest.ts';
import {
  cleanPath,
  fileNameProblem,
  instanceNameProblem,
  pathProblem,
  projectNameProblem,
} from '../../src/protocol/names.ts';
import {
  decodeUploadHeaders,
  encodeUploadHeaders,
  type UploadRequest,
} from '../../src/protocol/upload-headers.ts';

const REQUIRED = ['X-Container-Name', 'c1', 'X-File-Path', '/srv/a'];
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((text) => fileNameProblem(text) === undefined);

const request: fc.Arbitrary<UploadRequest> = fc
  .record(
    {
      instance: fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,10}[a-z]$/),
      project: fc.oneof(fc.constant('default'), fc.string({ unit: 'grapheme', maxLength: 20 })),
      path: fc.tuple(fc.array(name, { minLength: 1, maxLength: 4 }), fc.boolean()),
      sourceName: name,
      mode: fc.nat({ max: 0o7777 }),
      uid: fc.nat({ max: 2 ** 32 - 2 }),
      gid: fc.nat({ max: 2 ** 32 - 2 }),
      createDirs: fc.boolean(),
      idempotencyKey: fc.option(fc.string({ unit: 'binary', minLength: 1, maxLength: 50 }), { nil: null }),
      sha256: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: null }),
      extract: fc.constantFrom(null, 'tar' as const),
    },
    { noNullPrototype: true },
  )
  .map(({ path: [names, directory], ...rest }) => ({
    ...rest,
    path: cleanPath(`/${names.join('/')}${directory ? '/' : ''}`),
  }))
  .filter(
    ({ path, project }) => pathProblem(path) === undefined && projectNameProblem(project) === undefined,
  );

test('decodeUploadHeaders() reads what encodeUploadHeaders() writes', () => {
  fc.assert(
    fc.property(request, (value) => {
      assert.deepEqual(decodeUploadHeaders(Object.entries(encodeUploadHeaders(value)).flat()), value);
    }),
  );
});

test('encodeUploadHeaders() writes values that every header may carry', () => {
  fc.assert(
    fc.property(request, (value) => {
      for (const text of Object.values(encodeUploadHeaders(value))) assert.match(text, /^[\x20-\x7e]+$/);
    }),
  );
});

test('decodeUploadHeaders() has the defaults of the documentation', () => {
  assert.deepEqual(decodeUploadHeaders(REQUIRED), {
    instance: 'c1',
    project: 'default',
    path: '/srv/a',
    sourceName: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    createDirs: true,
    idempotencyKey: null,
    sha256: null,
    extract: null,
  });
});

test('decodeUploadHeaders() reads raw UTF-8 as older clients send it, in any case of names', () => {
  const decoded = decodeUploadHeaders([
    'x-container-name',
    'c1',
    'X-FILE-PATH',
    latin1('/srv/ü€'),
    'x-host-path',
    latin1('/home/é/😀.txt'),
  ]);
  assert.equal(decoded.path, '/srv/ü€');
  assert.equal(decoded.sourceName, '😀.txt');
});

test('decodeUploadHeaders() prefers the extended form, wherever it stands', () => {
  const plain = ['X-File-Path', '/plain'];
  const extended = ['X-File-Path*', "UTF-8''/%C3%BC"];
  for (const both of [
    [...plain, ...extended],
    [...extended, ...plain],
  ]) {
    assert.equal(decodeUploadHeaders(['X-Container-Name', 'c1', ...both]).path, '/ü');
  }
});

test('decodeUploadHeaders() puts a file into a directory under the base name of its source', () => {
  const decoded = decodeUploadHeaders([
    'X-Container-Name',
    'c1',
    'X-File-Path',
    '/srv//',
    'X-Host-Path',
    '/home/me/a.txt',
  ]);
  assert.deepEqual([decoded.path, decoded.sourceName], ['/srv/', 'a.txt']);
});

test('decodeUploadHeaders() takes an archive into a directory without a name for it', () => {
  const headers = ['X-Container-Name', 'c1', 'X-File-Path', '/srv/'];
  const { extract, path, sourceName } = decodeUploadHeaders([...headers, 'X-Extract', 'tar']);
  assert.deepEqual([extract, path, sourceName], ['tar', '/srv/', '']);
  assert.throws(() => decodeUploadHeaders([...headers, 'X-Extract', 'zip']), { code: 'bad_request' });
});

test('decodeUploadHeaders() does not refuse a file for its display name when it has a path of its own', () => {
  for (const source of ['..', '/', 'x'.repeat(300), "UTF-8''%00"]) {
    const header = source.startsWith('UTF-8') ? 'X-Host-Path*' : 'X-Host-Path';
    assert.equal(decodeUploadHeaders([...REQUIRED, header, source]).sourceName, '', source);
  }
});

const BAD: [headers: string[], message: RegExp][] = [
  [[], /X-Container-Name is missing/],
  [['X-Container-Name', 'c1'], /X-File-Path is missing/],
  [['X-Container-Name', '', 'X-File-Path', '/a'], /X-Container-Name is missing/],
  [['X-Container-Name', '../x', 'X-File-Path', '/a'], /X-Container-Name: Not an instance name/],
  [['X-Container-Name', 'c1', 'X-File-Path', 'a'], /X-File-Path: Not an absolute path/],
  [['X-Container-Name', 'c1', 'X-File-Path', '/a/../b'], /X-File-Path: .*"\.\."/],
  [['X-Container-Name', 'c1', 'X-File-Path', '/a/'], /X-Host-Path must name the file/],
  [['X-Container-Name', 'c1', 'X-File-Path', '/a/', 'X-Host-Path', '..'], /X-Host-Path: Not a file name/],
  [['X-Container-Name', 'c1', 'X-File-Path*', "UTF-8''/%00"], /X-File-Path: .*NUL/],
  [['X-Container-Name', 'c1', 'X-File-Path', '/\u00ff'], /X-File-Path: not valid UTF-8/],
  [['X-Container-Name', 'c1', 'X-File-Path*', '/a'], /X-File-Path\*: expected UTF-8''/],
  [[...REQUIRED, 'X-File-Path', '/b'], /X-File-Path is given twice/],
  [['X-Container-Name', 'c1,', 'X-File-Path', '/a'], /X-Container-Name: Not an instance name: ""/],
  [['X-Container-Name', 'web_*', 'X-File-Path', '/a'], /X-Container-Name: Not a pattern of instance names/],
  [[...REQUIRED, 'X-Also-To', 'c2'], /X-Also-To: .* names no path/],
  [[...REQUIRED, 'X-Also-To', ':/a'], /X-Also-To: .* names no instance/],
  [[...REQUIRED, 'X-Also-To', 'c2:/a/'], /X-Host-Path must name the file/],
  [[...REQUIRED, 'X-All-With', 'user.role'], /X-All-With: .*expected KEY=VALUE/],
  [[...REQUIRED, 'X-All-With', 'user.role=web'], /X-All-With: .* a pattern matches; use \*/],
  [[...REQUIRED, 'X-Incus-Project', 'a/b'], /X-Incus-Project: Not a project name/],
  [[...REQUIRED, 'X-File-Mode', '0999'], /X-File-Mode: expected an octal mode/],
  [[...REQUIRED, 'X-File-Uid', '-1'], /X-File-Uid: expected a number/],
  [[...REQUIRED, 'X-File-Uid', '4294967295'], /X-File-Uid: expected a number/],
  [[...REQUIRED, 'X-File-Gid', '1e3'], /X-File-Gid: expected a number/],
  [[...REQUIRED, 'X-Create-Dirs', 'maybe'], /X-Create-Dirs: expected true or false/],
  [[...REQUIRED, 'Idempotency-Key', ''], /Idempotency-Key: expected 1 to 255/],
  [[...REQUIRED, 'Idempotency-Key', 'x'.repeat(256)], /Idempotency-Key: expected 1 to 255/],
  [[...REQUIRED, 'Repr-Digest', 'sha-256=:short:'], /Repr-Digest: expected/],
];

test('decodeUploadHeaders() names the header that is wrong', () => {
  for (const [headers, message] of BAD) {
    assert.throws(
      () => decodeUploadHeaders(headers),
      (error) => error instanceof CodedError && error.code === 'bad_request' && message.test(error.message),
      String(message),
    );
  }
});

test('decodeUploadHeaders() tells names that are too long apart', () => {
  assert.throws(
    () => decodeUploadHeaders(['X-Container-Name', 'c1', 'X-File-Path', `/${'x'.repeat(256)}`]),
    (error) => error instanceof CodedError && error.code === 'name_too_long',
  );
});

const headerName = fc.oneof(
  fc.constantFrom(
    'X-Container-Name',
    'X-File-Path',
    'X-Host-Path',
    'X-Incus-Project',
    'X-File-Mode',
    'X-File-Uid',
    'X-Also-To',
    'X-Also-To*',
    'X-All-With',
  ),
  fc.constantFrom(
    'X-Create-Dirs',
    'Idempotency-Key',
    'Repr-Digest',
    '__proto__',
    'X-File-Path*',
    'X-Host-Path*',
    '*',
  ),
);
const headerValue = fc.oneof(
  fc.constantFrom(
    'c1',
    'c1,c2',
    'web-*',
    'c3:/srv/',
    ':/x',
    'user.role=web',
    '/srv/a',
    '/',
    '0644',
    'true',
    encodeReprDigest('ab'.repeat(32)),
    "UTF-8''%2Fx",
    '',
  ),
  fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 20,
  }),
);

test('decodeUploadHeaders() gives a valid request or a coded error, for any headers', () => {
  const headers = fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 });
  fc.assert(
    fc.property(headers, fc.boolean(), (pairs, complete) => {
      const raw = pairs.flat();
      try {
        const decoded = decodeUploadHeaders(complete ? [...REQUIRED, ...raw] : raw);
        if (decoded.batch === undefined) assert.equal(instanceNameProblem(decoded.instance), undefined);
        for (const { names, path } of decoded.batch?.destinations ?? []) {
          for (const name of names)
            assert.ok(isPattern(name) || instanceNameProblem(name) === undefined, name);
          assert.equal(pathProblem(path), undefined);
          assert.ok(!path.endsWith('/') || decoded.sourceName !== '');
        }
        assert.equal(projectNameProblem(decoded.project), undefined);
        assert.equal(pathProblem(decoded.path), undefined);
        assert.equal(fileNameProblem(decoded.sourceName), undefined);
        assert.ok(!decoded.path.endsWith('/') || decoded.sourceName !== '');
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
        assert.match(error.code, /^(?:bad_request|name_too_long)$/);
      }
    }),
    { numRuns: 3000 },
  );
});
