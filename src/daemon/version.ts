import { readFileSync } from 'node:fs';

/** The version of the package, read from package.json beside src and dist. */
export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const json: unknown = JSON.parse(text);
  if (typeof json === 'object' && json !== null && 'version' in json) return String(json.version);
  return 'unknown';
}
