/** The commands below `incus-uploadd token`, as commander knows them. */
import type { Command } from 'commander';
import { CodedError } from '../errors.ts';
import type { ScopeFlags } from './token-scope.ts';

/** What the commands need of the program that they belong to. */
export type TokenProgramParts = {
  readonly stateDir: () => Promise<string>;
  /** The program's own option of that name takes `--max-upload-size` wherever it stands. */
  readonly maxUploadSize: () => string | undefined;
};

export function addTokenCommands(token: Command, { stateDir, maxUploadSize }: TokenProgramParts): void {
  const command = async () => ({
    stateDir: await stateDir(),
    nowMs: Date.now(),
    write: (text: string): void => void process.stdout.write(text),
    note: (text: string): void => void process.stderr.write(text),
  });
  const collect = (value: string, earlier?: string[]): string[] => [...(earlier ?? []), value];

  token.configureHelp({ showGlobalOptions: false });
  token.description('make, list and revoke the tokens that TCP listeners ask for').action(() => {
    throw new CodedError('usage', 'token: expected add, list or revoke; see --help');
  });
  token
    .command('add')
    .description('make a token and print it, for the only time')
    .argument('<NAME>', 'who it is for; jobs carry it')
    .option('--project <PROJECT>', 'only this project; may be repeated', collect)
    .option('--instance <GLOB>', 'only instances of such names; may be repeated', collect)
    .option('--path <GLOB>', 'only files of such paths; may be repeated', collect)
    .option('--max-upload-size <SIZE>', 'only files up to this size')
    .option('--read-only', 'only to look at jobs')
    .option('--expires <DURATION>', 'ends after this time (default: never)')
    .action(async (name: string, flags: ScopeFlags & { expires?: string }) => {
      const { runTokenAdd } = await import('./token-command.ts');
      await runTokenAdd(await command(), name, { ...flags, maxUploadSize: maxUploadSize() });
    });
  token
    .command('list')
    .description('print what each token allows')
    .option('--json', 'print one JSON array')
    .action(async ({ json = false }: { json?: boolean }) => {
      const { runTokenList } = await import('./token-command.ts');
      await runTokenList(await command(), json);
    });
  token
    .command('revoke')
    .description('forget a token: it is not valid any more')
    .argument('<NAME>')
    .action(async (name: string) => {
      const { runTokenRevoke } = await import('./token-command.ts');
      await runTokenRevoke(await command(), name);
    });
}
