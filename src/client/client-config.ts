/**
 * The client's own configuration: the daemons that it knows by name. One YAML file, written as a whole and put in place
 * by a rename, readable by its owner alone, since it may hold tokens.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Document, isMap, parseDocument } from 'yaml';
import { nearestName } from '../base/nearest-name.ts';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import { parseAddress } from './address.ts';
import { clientConfigPath } from './config-path.ts';
import { parseFingerprint, type Trust } from './trust.ts';

/** The daemon's default socket, whatever the default remote is; no remote can have this name. */
export const LOCAL = 'local';

export type Remote = Trust & {
  readonly name: string;
  readonly url: string;
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
};

export type ClientConfig = {
  readonly path: string;
  readonly remotes: readonly Remote[];
  readonly defaultName: string | undefined;
};

/** Members of a remote in the file, and ours. */
const KEYS = {
  url: 'url',
  fingerprint: 'fingerprint',
  token: 'token',
  token_file: 'tokenFile',
  cert: 'certFile',
  key: 'keyFile',
} as const;

const HEADER = ' Remotes of incus-upload, see incus-upload(1). It may hold tokens: keep it to yourself.';

/** Reads the file; one that is not there holds nothing. Whatever is wrong is `config_invalid` and names file and key. */
export function readClientConfig(env: NodeJS.ProcessEnv): ClientConfig {
  const path = demandPath(env);
  return decode(path, readDocument(path).toJS());
}

/** The remote of that name; `config_invalid` when there is none. */
export function findRemote({ remotes, path }: ClientConfig, name: string): Remote {
  const found = remotes.find((remote) => remote.name === name);
  if (found !== undefined) return found;
  const nearest = nearestName(
    name,
    remotes.map((remote) => remote.name),
  );
  const advice =
    nearest !== undefined
      ? `did you mean ${nearest}?`
      : `add it: incus-upload remote add ${/^[\w.-]+$/.test(name) ? name : 'NAME'} URL`;
  throw new CodedError('config_invalid', `There is no remote ${JSON.stringify(name)} in ${path}; ${advice}`);
}

/** Keeps a new remote. */
export function addRemote(env: NodeJS.ProcessEnv, { name, ...remote }: Remote): void {
  edit(env, (document) => {
    const members = Object.entries(KEYS).flatMap(([key, member]) => {
      const value = remote[member];
      return value === undefined ? [] : [[key, value]];
    });
    document.setIn(['remotes', name], document.createNode(Object.fromEntries(members)));
  });
}

/** Forgets a remote, also as the default. */
export function removeRemote(env: NodeJS.ProcessEnv, name: string): void {
  findRemote(readClientConfig(env), name);
  edit(env, (document) => {
    document.deleteIn(['remotes', name]);
    if (document.get('default') === name) document.delete('default');
  });
}

/** Makes a remote the default, or the default socket with {@link LOCAL}. */
export function setDefaultRemote(env: NodeJS.ProcessEnv, name: string): void {
  if (name !== LOCAL) findRemote(readClientConfig(env), name);
  edit(env, (document) => {
    if (name === LOCAL) document.delete('default');
    else document.set('default', name);
  });
}

function demandPath(env: NodeJS.ProcessEnv): string {
  const path = clientConfigPath(env);
  if (path !== undefined) return path;
  throw new CodedError(
    'config_invalid',
    'Remotes are kept in the home directory: set HOME or XDG_CONFIG_HOME',
  );
}

function readDocument(path: string): Document {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT')
      throw new CodedError(
        'config_invalid',
        `Cannot read ${path}: ${messageOf(error)}; correct its permissions`,
      );
  }
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) {
    const line = broken.message.split('\n', 1)[0]?.replace(/:$/, '');
    throw new CodedError('config_invalid', `${path}: not valid YAML: ${line}; correct or remove it`);
  }
  return document;
}

function decode(path: string, json: unknown): ClientConfig {
  const bad = (what: string): CodedError =>
    new CodedError('config_invalid', `${path}: ${what}; correct it, or add the remote anew`);
  const top = json ?? {};
  if (!isRecord(top)) throw bad('expected lines of the form KEY: VALUE');
  const { remotes: entries = {}, default: defaultName } = top;
  if (entries !== null && !isRecord(entries)) throw bad('remotes: expected names of remotes');
  const remotes = Object.entries(entries ?? {}).map(([name, entry]) => {
    const at = `remotes.${name}`;
    if (!isRecord(entry)) throw bad(`${at}: expected url and others`);
    const remote: Record<string, string> = {};
    for (const [key, value] of Object.entries(entry)) {
      if (!Object.hasOwn(KEYS, key)) continue;
      if (typeof value !== 'string') throw bad(`${at}.${key}: expected a text`);
      remote[KEYS[key as keyof typeof KEYS]] = value;
    }
    const { url, fingerprint } = remote;
    if (url === undefined) throw bad(`${at}: url is missing`);
    checkUrl(url, (message) => bad(`${at}.url: ${message}`));
    if (fingerprint === undefined) return { ...remote, name, url };
    const hex = parseFingerprint(fingerprint);
    if (hex === undefined) throw bad(`${at}.fingerprint: expected 64 hex digits`);
    return { ...remote, name, url, fingerprint: hex };
  });
  if (defaultName === undefined || defaultName === null) return { path, remotes, defaultName: undefined };
  if (typeof defaultName !== 'string' || !remotes.some(({ name }) => name === defaultName))
    throw bad(`default: there is no remote ${JSON.stringify(defaultName)}`);
  return { path, remotes, defaultName };
}

function checkUrl(url: string, bad: (message: string) => CodedError): void {
  try {
    parseAddress(url);
  } catch (error) {
    throw bad(messageOf(error));
  }
}

function isRecord(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function edit(env: NodeJS.ProcessEnv, change: (document: Document) => void): void {
  const path = demandPath(env);
  const document = readDocument(path);
  decode(path, document.toJS());
  if (!isMap(document.contents)) {
    document.contents = document.createNode({}) as unknown as Document['contents'];
    document.commentBefore = HEADER;
  }
  // What is there already may be written as nothing at all: `remotes:`.
  if (!isMap(document.get('remotes'))) document.set('remotes', document.createNode({}));
  change(document);
  try {
    writeAtomically(path, document.toString());
  } catch (error) {
    throw new CodedError(
      'config_invalid',
      `Cannot write ${path}: ${messageOf(error)}; make room or correct its permissions`,
    );
  }
}

function writeAtomically(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const target = resolveLink(path);
  const temporary = `${target}.${randomBytes(6).toString('hex')}`;
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Where people keep their configuration elsewhere and link to it, the link stays. */
function resolveLink(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
