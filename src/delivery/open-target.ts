import { DirectoryTarget } from './directory/directory-target.ts';
import { IncusTarget } from './incus/incus-target.ts';
import {
  type CertificatePaths,
  type Environment,
  findLocalIncus,
  readRemoteIncus,
} from './incus/locate-incus.ts';
import type { Target } from './target.ts';
import { parseTargetUrl } from './target-url.ts';

export type OpenTargetOptions = CertificatePaths & {
  /** Where Incus and its client's configuration are looked for; default: the environment of this process. */
  readonly env?: Environment;
  /** Told what a user should know about how Incus was found. */
  readonly onNote?: (note: string) => void;
};

/**
 * Opens the target that a URL names (see `parseTargetUrl`). Nothing is connected yet: a target that is away is no
 * error. A URL or a certificate file that cannot be read throws `config_invalid`.
 */
export function openTarget(url: string, options: OpenTargetOptions = {}): Target {
  const parsed = parseTargetUrl(url);
  const env = options.env ?? process.env;
  switch (parsed.kind) {
    case 'incus': {
      const { socketPath, note } = findLocalIncus(env);
      if (note !== undefined) options.onNote?.(note);
      return new IncusTarget({ kind: 'unix', socketPath });
    }
    case 'unix':
      return new IncusTarget({ kind: 'unix', socketPath: parsed.path });
    case 'https':
      return new IncusTarget(readRemoteIncus(parsed.host, parsed.port, options, env));
    case 'directory':
      return new DirectoryTarget(parsed.path);
  }
}
