import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Text or bytes by name; a name that ends in `/` is an empty directory, a text `-> x` a link. */
export type Files = Readonly<Record<string, string | Buffer>>;

export function makeFiles(place: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(place, name);
    mkdirSync(name.endsWith('/') ? path : join(path, '..'), { recursive: true });
    if (name.endsWith('/')) continue;
    if (typeof content === 'string' && content.startsWith('-> ')) symlinkSync(content.slice(3), path);
    else writeFileSync(path, content, { mode: 0o644 });
  }
}

/** Kind, mode and content of all below a directory, by name. */
export function listFiles(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of (readdirSync(directory, { recursive: true }) as string[]).sort()) {
    const path = join(directory, name);
    const stats = lstatSync(path);
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isSymbolicLink()) found[name] = `-> ${readlinkSync(path)}`;
    else if (stats.isDirectory()) found[name] = `directory ${mode}`;
    else found[name] = `${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
  }
  return found;
}
