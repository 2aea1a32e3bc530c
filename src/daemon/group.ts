import { readFile } from 'node:fs/promises';
import { CodedError } from '../errors.ts';

/** The number of a group by its name or number, out of the text of group(5), or undefined when there is none. */
export function findGroupId(group: string, groupFile: string): number | undefined {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  for (const line of groupFile.split('\n')) {
    const [name, , id] = line.split(':');
    if (name === group && id !== undefined && /^\d{1,10}$/.test(id)) return Number(id);
  }
  return undefined;
}

/** The number of a group of this machine; null stays null. A group that is not there is `config_invalid`. */
export async function readGroupId(group: string | null): Promise<number | null> {
  if (group === null) return null;
  const id = findGroupId(group, await readFile('/etc/group', 'utf8'));
  if (id === undefined) throw new CodedError('config_invalid', `socket-group: there is no group ${group}`);
  return id;
}
