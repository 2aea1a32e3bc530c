import type { Command } from 'commander';
import { CodedError } from '../errors.ts';
import type { GlobalFlags } from './context.ts';

const USES = 'incus-upload remote add NAME URL, list, remove NAME or default [NAME]';

/** `remote` and what it takes: the daemons that are known by name. */
export function addRemoteCommands(
  remote: Command,
  flagsOf: (command: Command) => GlobalFlags,
  finish: (exitStatus: number) => void,
): void {
  const add = (usage: string, description: string): Command =>
    remote.command(usage).description(description).helpOption('-h, --help', 'print help');

  remote.allowExcessArguments().action((_options: unknown, { args }: Command) => {
    const [word] = args;
    throw new CodedError(
      'usage',
      word === undefined
        ? `remote needs a command: ${USES}`
        : `remote has no ${JSON.stringify(word)}; ${USES}`,
    );
  });
  add('add <name> <url>', 'know a daemon by a name')
    .option('--token <token>', 'keep this token for it (--token-file keeps the path of a file)')
    .option(
      '--accept-fingerprint [sha256]',
      'pin the certificate that it shows, if that is its fingerprint, without asking',
    )
    .option('--cert <file>', 'show this certificate to it')
    .option('--key <file>', 'the key of that certificate')
    .action(async (name: string, url: string, _options: unknown, command: Command) => {
      const { runRemoteAdd } = await import('./remote-add.ts');
      finish(await runRemoteAdd(name, url, command.opts(), flagsOf(command)));
    });
  add('list', 'list the daemons that are known by name').action(
    async (_options: unknown, command: Command) => {
      const { runRemoteList } = await import('./remote.ts');
      finish(runRemoteList(flagsOf(command)));
    },
  );
  add('remove <name>', 'forget a daemon').action(
    async (name: string, _options: unknown, command: Command) => {
      const { runRemoteRemove } = await import('./remote.ts');
      finish(runRemoteRemove(name, flagsOf(command)));
    },
  );
  add(
    'default [name]',
    'use a daemon unless another is named, or print which; local: the own machine',
  ).action(async (name: string | undefined, _options: unknown, command: Command) => {
    const { runRemoteDefault } = await import('./remote.ts');
    finish(runRemoteDefault(name, flagsOf(command)));
  });
}
