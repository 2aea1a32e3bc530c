import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coversInstance, coversJob, isLimited, type Scope, UNLIMITED } from '../../src/protocol/scope.ts';

const scope = (about: Partial<Scope>): Scope => ({ ...UNLIMITED, ...about });
const job = { project: 'default', instance: 'web', path: '/srv/f', sourceName: '' };

test('UNLIMITED covers everything', () => {
  assert.equal(coversJob(UNLIMITED, { ...job, sourceName: 'x' }), true);
  assert.equal(isLimited(UNLIMITED), false);
});

test('what a scope says of size and reading limits no job', () => {
  assert.equal(isLimited(scope({ maxUploadSizeBytes: 1, readOnly: true })), false);
  for (const about of [{ projects: ['a'] }, { instances: ['a'] }, { paths: ['/a'] }])
    assert.equal(isLimited(scope(about)), true);
});

test('coversInstance() wants project and instance', () => {
  const limited = scope({ projects: ['p', 'q'], instances: ['web-?', 'db'] });
  assert.equal(coversInstance(limited, 'q', 'web-1'), true);
  assert.equal(coversInstance(limited, 'q', 'db'), true);
  assert.equal(coversInstance(limited, 'default', 'db'), false);
  assert.equal(coversInstance(limited, 'q', 'web-10'), false);
});

test('coversJob() judges the path that the file will have', () => {
  const limited = scope({ paths: ['/srv/*'] });
  assert.equal(coversJob(limited, job), true);
  assert.equal(coversJob(limited, { ...job, path: '/srv/', sourceName: 'f' }), true);
  assert.equal(coversJob(limited, { ...job, path: '/srv/d/', sourceName: 'f' }), false);
  // If /srv/f is a directory the file becomes /srv/f/g.
  assert.equal(coversJob(limited, { ...job, sourceName: 'g' }), false);
  assert.equal(coversJob(scope({ paths: ['/srv/**'] }), { ...job, sourceName: 'g' }), true);
  // Nor may it be written in place of the directory that is allowed.
  assert.equal(coversJob(scope({ paths: ['/srv/f/*'] }), { ...job, sourceName: 'g' }), false);
});

test('coversJob() covers an archive only where everything below its directory is covered', () => {
  const archive = { ...job, path: '/srv/app', extract: 'tar' } as const;
  const cases: [string, boolean][] = [
    ['/srv/app/**', true],
    ['/srv/**', true],
    ['/srv/a*/**', true],
    ['/srv/app/*', false],
    ['/srv/app', false],
    ['/srv/app/x/**', false],
    ['/srv/**/x', false],
  ];
  for (const [pattern, expected] of cases) {
    assert.equal(coversJob(scope({ paths: [pattern] }), archive), expected, pattern);
    assert.equal(
      coversJob(scope({ paths: [pattern] }), { ...archive, path: '/srv/app/' }),
      expected,
      pattern,
    );
  }
  assert.equal(coversJob(UNLIMITED, archive), true);
});

test('coversJob() judges the path that the file has', () => {
  const limited = scope({ paths: ['/srv/*'] });
  assert.equal(coversJob(limited, { ...job, sourceName: 'g', deliveredPath: '/srv/f' }), true);
  assert.equal(coversJob(limited, { ...job, deliveredPath: '/srv/f/g' }), false);
});
