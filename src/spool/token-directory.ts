/**
 * The tokens of a state directory: one file each below `tokens`, mode 0600, which comes whole under its name or not at
 * all and is never changed afterwards. So several programs may add and revoke at once, also while a daemon runs and
 * without the lock of the state directory. After a crash a temporary file may be left; it counts for nothing.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import { decodeTokenRecord, encodeTokenRecord, type TokenRecord } from './token-record.ts';

const ENDING = '.json';

export function tokenDirectory(stateDir: string): string {
  return join(stateDir, 'tokens');
}

/** The name of the token that a file of the directory holds; undefined for any other file. */
export function tokenNameOf(file: string): string | undefined {
  return file.startsWith('.') || !file.endsWith(ENDING) ? undefined : file.slice(0, -ENDING.length);
}

export function isTokenName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text);
}

/** Keeps a token; resolves once it is on stable storage. `conflict` when there is one of that name. */
export async function addToken(stateDir: string, record: TokenRecord): Promise<void> {
  const directory = tokenDirectory(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  if ((await mkdir(directory, { recursive: true, mode: 0o700 })) !== undefined)
    await syncDirectory(dirname(directory));
  const temporary = join(directory, `.${record.name}.${randomBytes(6).toString('hex')}~`);
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(encodeTokenRecord(record));
    await handle.sync();
    await link(temporary, join(directory, record.name + ENDING));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    throw new CodedError(
      'conflict',
      `There is a token ${record.name}; revoke it first, or choose another name`,
    );
  } finally {
    await handle.close();
    await unlink(temporary);
  }
  await syncDirectory(directory);
}

/** Forgets a token for good; `not_found` when there is none of that name. */
export async function revokeToken(stateDir: string, name: string): Promise<void> {
  const directory = tokenDirectory(stateDir);
  try {
    await unlink(join(directory, name + ENDING));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new CodedError('not_found', `There is no token ${name}; see incus-uploadd token list`);
  }
  await syncDirectory(directory);
}

/** All tokens, by name; `onProblem` is told of files that cannot be read. */
export async function listTokens(
  stateDir: string,
  onProblem: (problem: string) => void,
): Promise<TokenRecord[]> {
  const directory = tokenDirectory(stateDir);
  const files = await readdir(directory).catch(ignoreMissing);
  const records: TokenRecord[] = [];
  for (const file of (files ?? []).sort()) {
    if (tokenNameOf(file) === undefined) continue;
    const path = join(directory, file);
    try {
      records.push(decodeTokenRecord(await readFile(path)));
    } catch (error) {
      onProblem(`cannot read the token in ${path}: ${messageOf(error)}`);
    }
  }
  return records;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT') return undefined;
  throw error;
}
