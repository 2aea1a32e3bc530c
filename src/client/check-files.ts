/** Looks at what lies on this machine: the client's files and the daemon's socket. */
import { statSync } from 'node:fs';
import { systemCode } from '../errors.ts';
import { formatMode } from '../protocol/mode.ts';
import { clientConfigPath } from './config-path.ts';
import { bad, type Finding, fine, odd } from './finding.ts';
import { adviseAccess, adviseStart, groupName, mayUseSocket } from './socket-advice.ts';

/** The client's configuration, which has been read already. `used` is what says which daemon is meant. */
export function checkConfig(env: NodeJS.ProcessEnv, used: string): Finding {
  const path = clientConfigPath(env);
  const mode = path === undefined ? undefined : modeOf(path);
  if (path === undefined || mode === undefined) return fine('config', `${used}; there are no remotes`);
  if ((mode & 0o077) !== 0)
    return odd(
      'config',
      `${path} can be read by others (mode ${formatMode(mode)}) and may hold tokens`,
      `chmod 600 ${path}`,
    );
  return fine('config', `${used}; remotes are kept in ${path}`);
}

/** A token's file, which has been read already. */
export function checkTokenFile(path: string): Finding {
  const mode = modeOf(path) ?? 0;
  if ((mode & 0o077) === 0) return fine('token', `it is read from ${path}, which is yours alone`);
  return odd(
    'token',
    `its file ${path} can be read by others (mode ${formatMode(mode)})`,
    `chmod 600 ${path}`,
  );
}

export function checkSocket(path: string): Finding {
  try {
    const stats = statSync(path);
    if (!stats.isSocket()) return bad('socket', `${path} is no socket`, 'check the address');
    const mode = stats.mode & 0o777;
    const about = `mode ${formatMode(mode)}, group ${groupName(stats.gid)}`;
    if (!mayUseSocket(path)) return bad('socket', `${path} is closed to you (${about})`, adviseAccess(path));
    if ((mode & 0o002) !== 0)
      return odd(
        'socket',
        `${path} is open to everybody here (${about}), who can write into every instance`,
        'set socket-mode to 0660 in the configuration of incus-uploadd',
      );
    return fine('socket', `${path} is open to you (${about})`);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES' || code === 'EPERM')
      return bad('socket', `${path} is closed to you`, adviseAccess(path));
    return bad('socket', `there is no socket ${path}`, adviseStart(path));
  }
}

function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode & 0o777;
  } catch {
    return undefined;
  }
}
