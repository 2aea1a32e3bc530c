/** The fake Incus as a process of its own, told by its parent what to do. */
import { startFakeIncus } from '../support/fake-incus.ts';
import type { FakeFaults } from '../support/fake-incus-sftp.ts';

export type FakeOrder =
  /** `cut`: at the same moment ends every session. */
  | { readonly order: 'faults'; readonly faults: FakeFaults; readonly cut: boolean }
  | { readonly order: 'go away'; readonly socketFile: 'stays' | 'goes' }
  | { readonly order: 'come back' }
  | { readonly order: 'cut sessions' }
  | { readonly order: 'say'; readonly action: string; readonly project: string; readonly instance: string };

const [socketPath = '', root = '', ...instances] = process.argv.slice(2);
const fake = await startFakeIncus({ socketPath, root });
for (const name of instances) {
  const [project = '', instance = ''] = name.split('/');
  fake.addInstance(project, instance);
}

async function obey(message: FakeOrder): Promise<void> {
  switch (message.order) {
    case 'faults':
      for (const name of Object.keys(fake.faults)) delete fake.faults[name as keyof FakeFaults];
      Object.assign(fake.faults, message.faults);
      if (message.cut) fake.cutSessions();
      break;
    case 'go away':
      await fake.goAway(message.socketFile);
      break;
    case 'come back':
      await fake.comeBack();
      break;
    case 'cut sessions':
      fake.cutSessions();
      break;
    case 'say':
      fake.emit(message.action, message.project, message.instance);
      break;
  }
}

process.on('message', (message: FakeOrder) => {
  obey(message).then(
    () => process.send?.('done'),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
