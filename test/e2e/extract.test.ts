/** Archives by the built programs, from the command line to the files; also when the daemon is killed in the middle. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type Files, listFiles, makeFiles } from '../support/file-tree.ts';
import {
  CLIENT,
  cleanEnvironment,
  createPlace,
  type Daemon,
  eventually,
  type Place,
  startDaemon,
} from './daemon.ts';

const run = promisify(execFile);

let place: Place;
let daemon: Daemon;
before(async () => {
  place = createPlace();
  daemon = await startDaemon(place);
});
after(async () => {
  await daemon.stop();
  place.remove();
});

const web = (path: string): string => join(place.target, 'web', path);

function push(...args: string[]) {
  const words = [CLIENT, '--url', `unix:${place.socketPath}`, 'push', ...args];
  return run(process.execPath, words, { cwd: place.directory, env: cleanEnvironment() });
}

/** Names of staging directories that are left. */
function stagings(): string[] {
  const names = readdirSync(web(''), { recursive: true }) as string[];
  return names.filter((name) => /\.incus-upload\.[^/]*$/.test(name));
}

test('push -r --wait brings a tree as it is, twice', async () => {
  const files: Files = {
    'site/index.html': '<h1>hello</h1>',
    'site/void/': '',
    'site/ü 日本語\n': 'odd',
    'site/current': '-> index.html',
    'site/bin/run': '#!/bin/sh\n',
    'site/large': Buffer.alloc(3_000_000, 7),
  };
  makeFiles(place.directory, files);
  chmodSync(join(place.directory, 'site/bin/run'), 0o755);
  chmodSync(join(place.directory, 'site/bin'), 0o500);
  for (let time = 0; time < 2; time += 1) {
    const { stdout } = await push('-r', '--wait', '--json', 'site', 'web:/srv/');
    const job = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    assert.deepEqual([job.state, job.extract, job.files_done, job.files_total], ['delivered', 'tar', 5, 5]);
    assert.deepEqual(listFiles(web('srv/site')), listFiles(join(place.directory, 'site')));
    assert.deepEqual(stagings(), []);
  }
});

test('curl sends what tar makes', { skip: existsSync('/usr/bin/curl') ? false : 'no curl' }, async () => {
  const archive = join(place.directory, 'by-tar.tar');
  makeFiles(place.directory, { 'app/a': 'a', 'app/sub/b': 'b' });
  execFileSync('tar', ['-cf', archive, '-C', join(place.directory, 'app'), '.']);
  const about = ['X-Container-Name: web', 'X-File-Path: /opt/app', 'X-Extract: tar'];
  const words = about.flatMap((header) => ['-H', header]);
  const { stdout } = await run('curl', [
    ...['-sS', '--unix-socket', place.socketPath, ...words],
    ...['--data-binary', `@${archive}`, 'http://localhost/upload'],
  ]);
  assert.match(stdout, /^Queued for web as job/);
  await eventually('it is there', () => existsSync(web('opt/app/sub/b')) && stagings().length === 0);
  assert.deepEqual(Object.keys(listFiles(web('opt/app'))), ['a', 'sub', 'sub/b']);
});

test('a daemon that is killed in the middle unpacks again, and leaves nothing behind', async () => {
  const source = join(place.directory, 'many');
  for (let at = 0; at < 40; at += 1) mkdirSync(join(source, `d${at}`), { recursive: true });
  for (let at = 0; at < 2000; at += 1)
    writeFileSync(join(source, `d${at % 40}/f${at}`), Buffer.alloc(500 + at, at));
  const { stdout } = await push('-r', '-q', 'many', 'web:/srv/');
  const id = stdout.trim();
  for (const leastFiles of [1, 300]) {
    await eventually('some files are there', () => {
      if (!existsSync(web('srv/many'))) return false;
      return readdirSync(web('srv/many'), { recursive: true }).length > 40 + leastFiles;
    });
    daemon.signal('SIGKILL');
    assert.equal(await daemon.exited, 'SIGKILL');
    assert.equal(stagings().length, 1);
    daemon = await startDaemon(place);
  }
  await eventually('it is delivered', async () => (await daemon.job(id)).state === 'delivered', 120_000);
  assert.deepEqual(listFiles(web('srv/many')), listFiles(source));
  assert.deepEqual(stagings(), []);
  const { files_done, files_total } = await daemon.job(id);
  assert.deepEqual([files_done, files_total], [2000, 2000]);
});
