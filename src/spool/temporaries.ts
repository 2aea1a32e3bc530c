/**
 * Temporary files that attempts may have left in instances. An entry is on stable storage before its file is made and
 * goes when the file is known to be gone, so that whatever a killed daemon left behind can be found and removed.
 */
import type { Journal } from './journal.ts';

export type Temporary = {
  /** The job's sequence, or the upload's number while it is not accepted. */
  readonly sequence: number;
  readonly name: string;
  readonly project: string;
  readonly instance: string;
  /** Absolute path of the temporary file in the instance. */
  readonly path: string;
};

export class Temporaries {
  readonly #journal: Journal;
  /** Names by sequence; most jobs have none, and are told so without a look into the journal. */
  readonly #known = new Map<number, Set<string>>();
  /** Sequences among them that no attempt will come back for. */
  readonly #stranded = new Set<number>();

  constructor(journal: Journal) {
    this.#journal = journal;
    for (const [sequence, name] of journal.temporaries.getKeys({})) {
      this.#remember(sequence, name);
      if (!journal.live.doesExist(sequence)) this.#stranded.add(sequence);
    }
  }

  /** The job is finished: what its attempts left is its own no more. */
  strand(sequence: number): void {
    if (this.#known.has(sequence)) this.#stranded.add(sequence);
  }

  /** Finished jobs, and uploads that were never accepted, that may have left something; mostly none. */
  stranded(): readonly number[] {
    return [...this.#stranded];
  }

  note(temporary: Temporary): Promise<void> {
    const { sequence, name, project, instance, path } = temporary;
    const value = Buffer.from(JSON.stringify({ project, instance, path }));
    this.#remember(sequence, name);
    return this.#journal.write(() => this.#journal.temporaries.put([sequence, name], value));
  }

  /** What may be left of earlier attempts of a job. */
  of(sequence: number): Temporary[] {
    return this.#known.has(sequence) ? this.#read({ start: [sequence, ''], end: [sequence + 1, ''] }) : [];
  }

  all(): Temporary[] {
    return this.#known.size > 0 ? this.#read({}) : [];
  }

  /** The files are gone. */
  async forget(temporaries: readonly Temporary[]): Promise<void> {
    await this.#journal.write(() => {
      for (const { sequence, name } of temporaries) this.removeIn(sequence, [name]);
    });
    for (const { sequence, name } of temporaries) this.removed(sequence, [name]);
  }

  /** Part of a commit: the job's files of these names are gone. */
  removeIn(sequence: number, names: readonly string[]): void {
    for (const name of names) this.#journal.temporaries.remove([sequence, name]);
  }

  /** After that commit. */
  removed(sequence: number, names: readonly string[]): void {
    const known = this.#known.get(sequence);
    if (known === undefined) return;
    for (const name of names) known.delete(name);
    if (known.size > 0) return;
    this.#known.delete(sequence);
    this.#stranded.delete(sequence);
  }

  #remember(sequence: number, name: string): void {
    const known = this.#known.get(sequence);
    if (known === undefined) this.#known.set(sequence, new Set([name]));
    else known.add(name);
  }

  #read(range: { start?: [number, string]; end?: [number, string] }): Temporary[] {
    const found: Temporary[] = [];
    for (const { key, value } of this.#journal.temporaries.getRange(range)) {
      const { project, instance, path } = JSON.parse(value.toString()) as Omit<
        Temporary,
        'sequence' | 'name'
      >;
      found.push({ sequence: key[0], name: key[1], project, instance, path });
    }
    return found;
  }
}
