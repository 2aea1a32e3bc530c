import { statSync } from 'node:fs';

/**
 * Lets a command that root runs on a state directory go on as the owner of that directory: what it writes there has to
 * be readable by the daemon, which is another user where systemd runs it. There is no way back.
 */
export function becomeOwnerOf(stateDir: string): void {
  if (process.geteuid?.() !== 0) return;
  const owner = statSync(stateDir, { throwIfNoEntry: false });
  if (owner === undefined || owner.uid === 0) return;
  process.setgroups?.([]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
}
