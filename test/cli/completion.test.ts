import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { JobState } from '../../src/protocol/job.ts';
import { type BuiltClient, buildClient, cleanEnvironment } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { skipUnless } from '../support/skip-unless.ts';

let client: BuiltClient;
let daemon: FakeDaemon;
const ids = new Map<JobState, string>();

before(async () => {
  client = await buildClient();
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
  const bin = join(client.directory, 'bin');
  mkdirSync(bin);
  writeFileSync(
    join(bin, 'incus-upload'),
    `#!/bin/sh\nexec '${process.execPath}' '${client.program}' "$@"\n`,
  );
  chmodSync(join(bin, 'incus-upload'), 0o755);
  writeFileSync(join(client.directory, 'some-file'), 'x');
  for (const state of ['queued', 'failed', 'delivered'] as const) {
    const { stdout } = await client.run(['push', '-q', join(client.directory, 'some-file'), 'web:/x'], {
      env: env(),
    });
    ids.set(state, stdout.trim());
    daemon.update(stdout.trim(), { state });
  }
});
after(async () => {
  await daemon.close();
  client.remove();
});

function env(): NodeJS.ProcessEnv {
  return {
    ...cleanEnvironment(),
    PATH: `${join(client.directory, 'bin')}:${process.env.PATH}`,
    INCUS_UPLOAD_URL: daemon.url,
    HOME: client.directory,
    TERM: 'dumb',
  };
}

/** Runs a shell while the small daemon of this process goes on answering. */
async function shell(program: string, args: readonly string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: env(),
      cwd: client.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stdout.on('data', (piece: Buffer) => {
      text += piece;
    });
    child.stderr.on('data', (piece: Buffer) => {
      text += piece;
    });
    child.once('error', reject);
    child.once('close', () => resolve(text));
  });
}

const scripts = new Map<string, string>();

async function script(name: string): Promise<string> {
  const known = scripts.get(name);
  if (known !== undefined) return known;
  const { status, stdout } = await client.run(['completion', name]);
  assert.equal(status, 0);
  scripts.set(name, stdout);
  return stdout;
}

/** Words that bash offers for a command line whose last word is being typed. */
async function completeInBash(words: readonly string[]): Promise<string[]> {
  const line = words.map((word) => `'${word}'`).join(' ');
  const text = await shell('bash', [
    '--norc',
    '-c',
    `${await script('bash')}
COMP_WORDS=(incus-upload ${line}); COMP_CWORD=${words.length}
_incus_upload; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
  return text.split('\n').filter((word) => word !== '');
}

test('completion bash offers commands, options, files and job ids by state', skipUnless('bash'), async () => {
  assert.deepEqual(await completeInBash(['pu']), ['push']);
  assert.deepEqual(await completeInBash(['--url', 'x', 'comp']), ['completion']);
  assert.deepEqual(await completeInBash(['push', '--wa']), ['--wait']);
  assert.deepEqual(await completeInBash(['push', 'some-']), ['some-file']);
  assert.deepEqual(await completeInBash(['jobs', '--state', 'del']), ['delivering', 'delivered']);
  assert.deepEqual(await completeInBash(['cancel', '']), [ids.get('queued')]);
  assert.deepEqual(await completeInBash(['retry', '']), [ids.get('failed')]);
  assert.deepEqual((await completeInBash(['show', ''])).sort(), [...ids.values()].sort());
  assert.deepEqual(await completeInBash(['completion', 'f']), ['fish']);
  assert.deepEqual(await completeInBash(['remote', 'de']), ['default']);
  assert.equal((await client.run(['remote', 'add', 'lab', 'http://127.0.0.1:1'], { env: env() })).status, 0);
  assert.deepEqual(await completeInBash(['remote', 'remove', 'l']), ['list', 'lab']);
  assert.deepEqual(await completeInBash(['--remote', '']), ['lab']);
});

test(
  'completion bash offers instances and projects, of the daemon that the line names',
  skipUnless('bash'),
  async () => {
    daemon.instances = [
      { name: 'web', project: 'default' },
      { name: 'some-db', project: 'lab' },
    ];
    assert.deepEqual(await completeInBash(['jobs', '--instance', '']), ['web', 'some-db']);
    assert.deepEqual(await completeInBash(['jobs', '--project', 'l']), ['lab']);
    assert.deepEqual(await completeInBash(['--project', 'lab', 'jobs', '--instance', '']), ['some-db']);
    assert.deepEqual(await completeInBash(['--url', 'unix:/nonexistent', 'jobs', '--instance', '']), []);
    // The first word is a source; later ones may be the destination, behind whose colon nothing is known.
    assert.deepEqual(await completeInBash(['push', 'some']), ['some-file']);
    assert.deepEqual(await completeInBash(['push', 'some-file', 'some']), ['some-db:', 'some-file ']);
    assert.deepEqual(await completeInBash(['push', 'some-file', 'we']), ['web:']);
    assert.deepEqual(await completeInBash(['push', 'some-file', 'web', ':']), []);
    assert.deepEqual(await completeInBash(['push', 'some-file', 'web', ':', '/o']), []);
  },
);

test('completion bash passes shellcheck', skipUnless('shellcheck'), async () => {
  const { status, stdout } = spawnSync('shellcheck', ['-s', 'bash', '-'], { input: await script('bash') });
  assert.equal(status, 0, stdout.toString());
});

test('completion zsh can be loaded and offers what it knows', skipUnless('zsh'), async () => {
  const file = join(client.directory, '_incus-upload');
  writeFileSync(file, await script('zsh'));
  // Listing choices needs a line editor, so zsh runs on a terminal of its own, made by its zpty module.
  const program = (line: string): string => `
    zmodload zsh/zpty
    zpty shell "TERM=dumb zsh -f -i"
    zpty -w shell 'PS1=; PROMPT_EOL_MARK=; unsetopt zle_bracketed_paste; fpath=(${client.directory} $fpath); autoload -Uz compinit; compinit -u -D; zstyle ":completion:*" list-separator "#"; setopt no_auto_menu; print rea""dy'
    zpty -r -m shell out '*ready*' 
    zpty -w -n shell '${line}'$'\\t\\t'
    sleep_until=$((SECONDS + 20)); text=
    while (( SECONDS < sleep_until )); do
      if zpty -r -t shell piece; then text+=$piece; else sleep 0.1; fi
      [[ $text == *$~1* ]] && break
    done
    print -r -- $text
    zpty -d shell`;
  const offers = async (line: string, pattern: string): Promise<string> =>
    await shell('zsh', ['-f', '-c', program(line), 'zsh', pattern]);
  // With only one job that can be cancelled, the second press of the key inserts its id.
  const queued = ids.get('queued') ?? '';
  assert.match(await offers('incus-upload canc', `*${queued}*`), /canc.?el .*1k/);
  assert.match(await offers('incus-upload push --chec', '*--checksum*'), /--checksum/);
  assert.match(await offers('incus-upload push x we', '*web:*'), /web:/);
  assert.match(await offers('incus-upload jobs --project la', '*lab*'), /la.?b/);
  const failed = ids.get('failed') ?? '';
  assert.match(await offers('incus-upload retry ', `*${failed}*`), new RegExp(failed));
});

test('completion fish offers commands, options and job ids by state', skipUnless('fish'), async () => {
  const file = join(client.directory, 'completion.fish');
  writeFileSync(file, await script('fish'));
  const offers = async (line: string): Promise<string[]> => {
    const text = await shell('fish', ['--no-config', '-c', `source ${file}; complete -C '${line}'`]);
    return text
      .split('\n')
      .map((offer) => offer.split('\t')[0] ?? '')
      .filter((word) => word !== '');
  };
  assert.deepEqual(await offers('incus-upload canc'), ['cancel']);
  assert.ok((await offers('incus-upload push --che')).includes('--checksum'));
  assert.deepEqual(await offers('incus-upload retry '), [ids.get('failed')]);
  assert.deepEqual(await offers('incus-upload completion z'), ['zsh']);
  assert.deepEqual(await offers('incus-upload jobs --instance '), ['some-db', 'web']);
  assert.deepEqual(await offers('incus-upload jobs --project '), ['default', 'lab']);
  assert.deepEqual(await offers('incus-upload --project lab jobs --instance '), ['some-db']);
  assert.deepEqual(await offers('incus-upload push x we'), ['web:']);
});

test('completion refuses other shells', async () => {
  const { status, stderr } = await client.run(['completion', 'tcsh']);
  assert.equal(status, 64);
  assert.match(stderr, /expected bash, zsh, fish/);
});
