/** What to do about a daemon's socket that cannot be used: start the daemon, or join the group. Looked at when asked. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { SYSTEM_SOCKET } from './address.ts';

/** How to start the daemon of a socket where nobody answers. */
export function adviseStart(socketPath: string): string {
  const start =
    socketPath === SYSTEM_SOCKET
      ? 'start the daemon (systemctl enable --now incus-uploadd.socket)'
      : 'start the daemon that listens there (incus-uploadd)';
  return `${start}, or name another with --url or --remote`;
}

/** How to get at a socket that is closed to this user. */
export function adviseAccess(socketPath: string): string {
  const closed = closedPlace(socketPath);
  if (closed === undefined) return 'ask for access to it, or name another daemon with --url or --remote';
  const group = groupOf(closed);
  const user = userName();
  if (group.members.includes(user))
    return `${user} is in the group ${group.name}, but was not yet when this session began: log in again`;
  return `join the group ${group.name} (usermod -aG ${group.name} ${user}, then log in again)`;
}

/** The group of the socket, or of the closed directory above it, where being in it would help. */
function closedPlace(socketPath: string): number | undefined {
  let path = socketPath;
  let needed = 0o020;
  for (;;) {
    try {
      const { gid, mode } = statSync(path);
      return (mode & needed) !== 0 ? gid : undefined;
    } catch {
      // A directory above it is closed, so that the socket itself cannot be seen.
      const above = dirname(path);
      if (above === path) return undefined;
      path = above;
      needed = 0o010;
    }
  }
}

type Group = { readonly name: string; readonly members: readonly string[] };

function groupOf(gid: number): Group {
  for (const line of readLines('/etc/group')) {
    const [name, , id, members = ''] = line.split(':');
    if (name !== undefined && name !== '' && id === String(gid)) return { name, members: members.split(',') };
  }
  return { name: String(gid), members: [] };
}

/** The name of a group, or its number where it has none. */
export function groupName(gid: number): string {
  return groupOf(gid).name;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user without an entry in passwd(5).
    return 'USER';
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Whether this process may connect to a socket: that needs the right to write to it (unix(7)). */
export function mayUseSocket(socketPath: string): boolean {
  try {
    accessSync(socketPath, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
