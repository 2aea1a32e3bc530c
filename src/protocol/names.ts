/** Rules of Incus for names, and of Linux for paths. Each check returns what is wrong, or undefined. */

const INSTANCE = /^(?!\d+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const PROJECT_FORBIDDEN = /[\s/_'"$?&+*`]/u;
const NAME_MAX_BYTES = 255;
const PATH_MAX_BYTES = 4095;

export function instanceNameProblem(name: string): string | undefined {
  if (INSTANCE.test(name)) return undefined;
  return `Not an instance name: ${JSON.stringify(name)}; expected 1 to 63 letters, digits and dashes, not only digits`;
}

export function projectNameProblem(name: string): string | undefined {
  if (name !== '' && name !== '.' && name !== '..' && name.length <= 64 && !PROJECT_FORBIDDEN.test(name)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this rejects
    if (!/[\u0000-\u001f\u007f]/.test(name)) return undefined;
  }
  return `Not a project name: ${JSON.stringify(name)}; expected up to 64 characters without spaces, slashes, underscores or quotes`;
}

export type PathProblem = { readonly code: 'bad_request' | 'name_too_long'; readonly message: string };

/** Checks an absolute path inside an instance, as {@link cleanPath} returns it. */
export function pathProblem(path: string): PathProblem | undefined {
  const bad = (message: string): PathProblem => ({ code: 'bad_request', message });
  if (!path.startsWith('/')) return bad(`Not an absolute path: ${JSON.stringify(path)}`);
  if (path.includes('\0')) return bad('A path cannot hold a NUL byte');
  if (/\p{Surrogate}/u.test(path)) return bad('A path must be valid UTF-8');
  if (Buffer.byteLength(path) > PATH_MAX_BYTES) {
    return { code: 'name_too_long', message: `The path is longer than ${PATH_MAX_BYTES} bytes` };
  }
  for (const name of path.split('/')) {
    if (name === '..') return bad('A path cannot hold ".."');
    const problem = fileNameProblem(name);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Checks one name of a path. The empty name is allowed: it means that the name is not known. */
export function fileNameProblem(name: string): PathProblem | undefined {
  if (name.includes('/') || name.includes('\0') || name === '.' || name === '..') {
    return { code: 'bad_request', message: `Not a file name: ${JSON.stringify(name)}` };
  }
  if (name.length * 3 > NAME_MAX_BYTES && Buffer.byteLength(name) > NAME_MAX_BYTES) {
    return {
      code: 'name_too_long',
      message: `The name ${JSON.stringify(name.slice(0, 40))}… is longer than ${NAME_MAX_BYTES} bytes`,
    };
  }
  return undefined;
}

/** Drops empty and `.` components; keeps one final `/`, also where the path ended in `/.`. */
export function cleanPath(path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path;
  const absolute = path.startsWith('/');
  const directory = /\/\.?$/.test(path);
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  const joined = (absolute ? '/' : '') + names.join('/');
  return directory && !joined.endsWith('/') ? `${joined}/` : joined;
}

/** What follows the last `/`, a final `/` aside. */
export function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}
