/**
 * A Debian container with a systemd of its own, in a private Incus, whose Incus socket it has; beside it the instances
 * c1 and c2. Its image comes from `.ci/systemd-image`: `INCUS_UPLOAD_TEST_SYSTEMD_IMAGE` names a file that is there,
 * or that a process in the background is making. With `CI=true` it is made here when it is not named.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';

const MAKE_IMAGE = fileURLToPath(new URL('../../.ci/systemd-image', import.meta.url));
const NAME = 'sysd';
const IMAGE_DEADLINE_MS = 300_000;
const DEADLINE_MS = 120_000;
const INCUS_GID = '987';

export type Ended = { readonly status: number; readonly stdout: string; readonly stderr: string };

export type SystemdContainer = {
  readonly incus: RealIncus;
  /** Runs a shell script in the container as `user`; a failure is an answer like any other. */
  tryRun(script: string, user?: string): Promise<Ended>;
  /** Runs it and resolves to its trimmed standard output; throws when it fails. */
  run(script: string, user?: string): Promise<string>;
  put(content: Buffer | string, path: string): Promise<void>;
  /** Gives the socket of the Incus around it, to the group incus-admin of the container. */
  connectIncus(): Promise<void>;
  disconnectIncus(): Promise<void>;
  close(): Promise<void>;
};

/** Why there can be none here; undefined when there can. With `CI=true` it throws instead. */
export function containerSkipReason(): string | undefined {
  const reason = incusSkipReason();
  if (reason !== undefined || process.env.INCUS_UPLOAD_TEST_SYSTEMD_IMAGE || process.env.CI === 'true')
    return reason;
  return 'INCUS_UPLOAD_TEST_SYSTEMD_IMAGE names no image; see .ci/systemd-image';
}

export async function openSystemdContainer(): Promise<SystemdContainer> {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-image-'));
  // Not the Incus of the other tests: they restart theirs.
  delete process.env.INCUS_UPLOAD_TEST_INCUS_DIR;
  const incus = await openRealIncus();
  const close = async (): Promise<void> => {
    await incus.close();
    rmSync(directory, { recursive: true });
  };
  try {
    await incus.incus('image', 'import', '-q', await imageFile(directory), '--alias', 'systemd');
    await incus.incus('launch', '-q', 'systemd', NAME);
    return { ...tools(incus, directory), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function tools(incus: RealIncus, directory: string): Omit<SystemdContainer, 'close'> {
  const env = { ...process.env, INCUS_DIR: incus.directory, INCUS_CONF: join(incus.directory, 'client') };
  const tryRun: SystemdContainer['tryRun'] = (script, user = 'root') =>
    new Promise((resolve) => {
      const command = user === 'root' ? ['sh', '-c', script] : ['su', '-', user, '-c', script];
      const options = { env, timeout: DEADLINE_MS, maxBuffer: 1 << 26 };
      const child = execFile(
        'incus',
        ['exec', NAME, '-T', '--', ...command],
        options,
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          resolve({ status, stdout, stderr });
        },
      );
      child.stdin?.end();
    });
  const run: SystemdContainer['run'] = async (script, user) => {
    const { status, stdout, stderr } = await tryRun(script, user);
    if (status !== 0) throw new Error(`${script}: status ${status}\n${stdout}${stderr}`);
    return stdout.trim();
  };
  return {
    incus,
    tryRun,
    run,
    put: async (content, path) => {
      const file = join(directory, 'content');
      writeFileSync(file, content);
      await incus.incus('file', 'push', '-q', file, `${NAME}${path}`);
    },
    connectIncus: async () => {
      await run(`getent group incus-admin || groupadd --gid ${INCUS_GID} incus-admin; mkdir -p /run/incus`);
      const ends = [
        `connect=unix:${incus.socketPath}`,
        'listen=unix:/run/incus/unix.socket',
        'bind=instance',
      ];
      const access = ['uid=0', `gid=${INCUS_GID}`, 'mode=0660'];
      await incus.incus('config', 'device', 'add', NAME, 'incus', 'proxy', ...ends, ...access);
    },
    disconnectIncus: async () => {
      await incus.incus('config', 'device', 'remove', NAME, 'incus');
    },
  };
}

async function imageFile(directory: string): Promise<string> {
  const given = process.env.INCUS_UPLOAD_TEST_SYSTEMD_IMAGE;
  const file = given || join(directory, 'systemd.tar');
  if (!given) spawnSync(MAKE_IMAGE, [file]);
  for (const end = Date.now() + IMAGE_DEADLINE_MS; !existsSync(file); await delay(200)) {
    if (existsSync(`${file}.failed`)) throw new Error(readFileSync(`${file}.failed`, 'utf8'));
    if (Date.now() > end) throw new Error(`${file} is not there, and nobody seems to be making it`);
  }
  return file;
}

/** Our package as a later version, that says so. */
export function repackAs(version: string, deb: string, directory: string): string {
  const tree = join(directory, `tree-${version}`);
  const file = join(directory, `${version}.deb`);
  execFileSync('dpkg-deb', ['-R', deb, tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`));
  const manifest = join(tree, 'usr/lib/incus-upload/package.json');
  const changed = { ...(JSON.parse(readFileSync(manifest, 'utf8')) as object), version };
  writeFileSync(manifest, JSON.stringify(changed));
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', tree, file], {
    stdio: 'ignore',
  });
  return file;
}
