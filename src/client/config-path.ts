import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';

/**
 * Where the client keeps its remotes, or undefined where there is no home. A relative XDG_CONFIG_HOME counts as none (XDG
 * Base Directory Specification).
 */
export function clientConfigPath(env: NodeJS.ProcessEnv): string | undefined {
  const { XDG_CONFIG_HOME: configHome, HOME: home } = env;
  if (configHome !== undefined && isAbsolute(configHome))
    return join(configHome, 'incus-upload', 'config.yml');
  return home === undefined || home === '' ? undefined : join(home, '.config', 'incus-upload', 'config.yml');
}

/** Whether there is anything to read there. Most have no remotes, and shall not wait for a reader of YAML. */
export function hasClientConfig(env: NodeJS.ProcessEnv): boolean {
  const path = clientConfigPath(env);
  return path !== undefined && existsSync(path);
}
