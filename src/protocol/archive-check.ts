import { TarParser } from './tar-parser.ts';
import { Tree } from './tree.ts';

/**
 * Looks at an archive while it arrives: `take` throws `bad_request` where it cannot be read and `unsafe_archive` where it
 * must not be unpacked. Content is passed over, not looked at.
 */
export class ArchiveCheck {
  readonly #tree = new Tree();
  readonly #parser: TarParser;

  /** `checkLink` throws when a symbolic link to that target is not allowed. */
  constructor(checkLink: (target: string) => void) {
    this.#parser = new TarParser((tarEntry) => {
      const entry = this.#tree.add(tarEntry);
      if (entry.kind === 'symlink') checkLink(entry.target);
    });
  }

  take(chunk: Buffer): void {
    this.#parser.push(chunk);
  }

  /** The archive has ended: the number of files and links in it. Throws `bad_request` when something is missing. */
  end(): number {
    this.#parser.end();
    return this.#tree.files;
  }
}
