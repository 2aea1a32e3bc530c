/** What a word of the command line can be, besides an option. `jobsIn` are states of jobs; none of them means any. */
export type Operand =
  | 'file'
  | 'command'
  | 'shell'
  | 'state'
  | 'none'
  /** What may follow `remote`, and names of remotes. */
  | 'remote'
  | 'remote-name'
  | 'instance'
  | 'project'
  /** A file, or as a later word an instance and a colon. */
  | 'source-or-destination'
  | { readonly jobsIn: readonly string[] };

export type CompletedOption = {
  /** `-q` and `--quiet`. */
  readonly names: readonly string[];
  readonly description: string;
  /** What its value is; undefined when it takes none. */
  readonly value: Operand | undefined;
};

export type CompletedCommand = {
  readonly name: string;
  readonly description: string;
  readonly options: readonly CompletedOption[];
  readonly operand: Operand;
};

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const REMOTE_COMMANDS = ['add', 'list', 'remove', 'default'] as const;

/** Options that decide which daemon is asked, and about what; the scripts pass them on. */
export const PASSED_ON = ['--url', '--remote', '--token-file', '--project'] as const;
