/** What a user sees of the linger: the whole daemon, and a file that a power cut took out of the instance. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ballast } from '../../src/spool/ballast.ts';
import { Journal } from '../../src/spool/journal.ts';
import { startDaemon } from './daemon-process.ts';
import { makeDirectory } from './spool-builder.ts';

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadlineMs, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function deliveredJobs(url: string): Promise<number> {
  const info = (await (await fetch(`${url}/v1/info`)).json()) as { jobs: { delivered: number } };
  return info.jobs.delivered;
}

/** As if the machine had been started anew since. */
async function forgetBoot(stateDir: string): Promise<void> {
  const journal = await Journal.open(join(stateDir, 'journal'), {
    ballast: new Ballast(stateDir),
    onBroken: (error) => {
      throw error;
    },
  });
  await journal.write(() => journal.meta.put('boot', Buffer.from('another')));
  await journal.close();
}

for (const [linger, comesBack] of [
  ['60s', true],
  ['0s', false],
] as const) {
  test(`with --linger ${linger} a file that a power cut took ${comesBack ? 'comes back' : 'is gone'}`, async (t) => {
    const stateDir = await makeDirectory(t);
    const target = await makeDirectory(t);
    mkdirSync(join(target, 'c1'));
    const file = join(target, 'c1', 'f');
    const args = ['--state-dir', stateDir, '--target', `dir:${target}`, '--linger', linger];
    const first = await startDaemon(t, args);
    const headers = { 'X-Container-Name': 'c1', 'X-File-Path': '/f' };
    const { status } = await fetch(`${first.url}/upload`, { method: 'POST', headers, body: 'content' });
    assert.equal(status, 202);
    await until('it is delivered', async () => (await deliveredJobs(first.url)) === 1);
    const killed = once(first.child, 'exit');
    first.child.kill('SIGKILL');
    await killed;

    rmSync(file);
    await forgetBoot(stateDir);
    const second = await startDaemon(t, args);
    await until('all is delivered', async () => (await deliveredJobs(second.url)) === 1);
    assert.equal(existsSync(file), comesBack);
    if (comesBack) assert.equal(readFileSync(file, 'utf8'), 'content');
  });
}
