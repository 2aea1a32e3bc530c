/**
 * The files of one fake instance: a directory on disk, used as if it were the root. Synchronous, one request after the
 * other, as the real helper works but for its writes. Owners that only root may give are remembered instead.
 */
import * as fs from 'node:fs';
import { systemCode } from '../../src/errors.ts';

/** A refusal with a status code and Go's words. */
export class FakeStatus extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOSPC: 'no space left on device',
  EISDIR: 'is a directory',
  EEXIST: 'file exists',
  ENOTEMPTY: 'directory not empty',
  EXDEV: 'invalid cross-device link',
  ENOTDIR: 'not a directory',
  ENAMETOOLONG: 'file name too long',
  ELOOP: 'too many levels of symbolic links',
  EINVAL: 'invalid argument',
};

export class FakeFiles {
  readonly #root: string;
  readonly #owners = new Map<number, { uid: number; gid: number }>();

  constructor(root: string) {
    this.#root = root;
  }

  open(path: string, flags: number): number {
    const access = flags & 0x02 ? fs.constants.O_RDWR : fs.constants.O_RDONLY;
    const create = flags & 0x08 ? fs.constants.O_CREAT : 0;
    const exclusive = flags & 0x20 ? fs.constants.O_EXCL : 0;
    const truncate = flags & 0x10 ? fs.constants.O_TRUNC : 0;
    return this.#told('open', path, () =>
      fs.openSync(this.#real(path, exclusive === 0), access | create | exclusive | truncate, 0o644),
    );
  }

  lstat(path: string) {
    return this.#told('lstat', path, () => this.attributes(fs.lstatSync(this.#real(path, false))));
  }

  stat(path: string) {
    return this.#told('stat', path, () => this.attributes(fs.lstatSync(this.#real(path, true))));
  }

  attributes({ size, uid, gid, mode, ino }: fs.Stats) {
    return { size, uid, gid, mode, ...this.#owners.get(ino) };
  }

  readlink(path: string): Buffer {
    return this.#told('readlink', path, () => fs.readlinkSync(this.#real(path, false), 'buffer'));
  }

  mkdir(path: string): void {
    this.#told('mkdir', path, () => fs.mkdirSync(this.#real(path, false), 0o755));
  }

  /** As Go's os.Remove does, also an empty directory. */
  remove(path: string): void {
    this.#told('remove', path, () => {
      const real = this.#real(path, false);
      if (fs.lstatSync(real).isDirectory()) fs.rmdirSync(real);
      else fs.unlinkSync(real);
    });
  }

  symlink(target: string, path: string): void {
    this.#told(`symlink ${target}`, path, () => fs.symlinkSync(target, this.#real(path, false)));
  }

  readdir(path: string): Buffer[] {
    return this.#told('opendir', path, () => fs.readdirSync(this.#real(path, true), 'buffer'));
  }

  rename(from: string, to: string): void {
    this.#told(`rename ${from}`, to, () => {
      const target = this.#real(to, false);
      if (fs.lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === true) {
        throw Object.assign(new Error('a directory'), { code: 'EEXIST' });
      }
      fs.renameSync(this.#real(from, false), target);
    });
  }

  setstat(path: string, change: { uid?: number; gid?: number; mode?: number; size?: number }): void {
    this.#told('setstat', path, () => {
      const fd = fs.openSync(this.#real(path, true), fs.constants.O_RDONLY);
      try {
        this.change(fd, change);
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  change(
    fd: number,
    { uid, gid, mode, size }: { uid?: number; gid?: number; mode?: number; size?: number },
  ): void {
    if (size !== undefined) fs.ftruncateSync(fd, size);
    if (mode !== undefined) fs.fchmodSync(fd, mode & 0o7777);
    if (uid === undefined || gid === undefined) return;
    // As an unprivileged container, whose ids end somewhere.
    if (uid > 1_000_000_000 || gid > 1_000_000_000) throw new FakeStatus(4, 'chown: invalid argument');
    if (process.geteuid?.() === 0) fs.fchownSync(fd, uid, gid);
    else this.#owners.set(fs.fstatSync(fd).ino, { uid, gid });
  }

  /** The path on this machine, links resolved as below a chroot, the last one only if `followLast`. */
  #real(path: string, followLast: boolean): string {
    let pending = path.split('/');
    let real: string[] = [];
    for (let links = 0; pending.length > 0; ) {
      const name = pending.shift() ?? '';
      if (name === '' || name === '.') continue;
      if (name === '..') {
        real.pop();
        continue;
      }
      const at = `${this.#root}/${[...real, name].join('/')}`;
      const last = pending.every((rest) => rest === '' || rest === '.');
      const isLink = fs.lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true;
      if (!isLink || (last && !followLast)) {
        real.push(name);
        continue;
      }
      links += 1;
      if (links > 40) throw Object.assign(new Error('a loop'), { code: 'ELOOP' });
      const target = fs.readlinkSync(at);
      if (target.startsWith('/')) real = [];
      pending = [...target.split('/'), ...pending];
    }
    return `${this.#root}/${real.join('/')}`;
  }

  #told<T>(what: string, path: string, act: () => T): T {
    try {
      return act();
    } catch (error) {
      if (error instanceof FakeStatus) throw error;
      throw statusOf(systemCode(error) ?? 'EIO', `${what} ${path}`);
    }
  }
}

export function statusOf(code: string, what: string): FakeStatus {
  const status = code === 'ENOENT' ? 2 : code === 'EACCES' || code === 'EPERM' ? 3 : 4;
  return new FakeStatus(status, `${what}: ${WORDS[code] ?? code}`);
}
