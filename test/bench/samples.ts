/** Collects what the runs of one row measured, and turns it into lines of the table. */
import type { workedSince } from './processor.ts';
import { type Bound, meets, ratiosByRun, type Summary, summarize } from './statistics.ts';

/** One line of the table: one contender doing one work, and how ours compares with it. */
export type Line = {
  readonly row: string;
  readonly work: string;
  readonly unit: string;
  readonly contender: string;
  readonly values: readonly number[];
  readonly summary: Summary;
  /** Ours over this contender, run by run; null where nothing of ours is compared with it. */
  readonly ratio: (Summary & { readonly values: readonly number[] }) | null;
  /** On the ratio where there is one, else on the median of the values. */
  readonly target: Bound | null;
  /** Null where there is no target, or where times are not judged. */
  readonly met: boolean | null;
};

type Entry = { work: string; unit: string; contender: string; values: number[]; target: Bound | null };
type Comparison = { work: string; unit: string; ours: string; peer: string; target: Bound | null };

export class Samples {
  readonly #row: string;
  readonly #entries: Entry[] = [];
  readonly #comparisons: Comparison[] = [];
  readonly notes: string[] = [];

  constructor(row: string) {
    this.#row = row;
  }

  /** Adds the value of one run. `target` is for the median of the values themselves. */
  add(work: string, unit: string, contender: string, value: number, target: Bound | null = null): void {
    const known = this.#find(work, unit, contender);
    if (known !== undefined) known.values.push(value);
    else this.#entries.push({ work, unit, contender, values: [value], target });
  }

  /** Adds what the processors of the machine worked meanwhile, all processes together. */
  addProcessor(work: string, contender: string, { seconds, percent }: ReturnType<typeof workedSince>): void {
    this.add(`${work}: processor time`, 's', contender, seconds);
    this.add(`${work}: processors busy`, '%', contender, percent);
  }

  /** Asks for the ratio of `ours` to `peer`, shown on the line of the peer. Repeating it changes nothing. */
  compare(work: string, unit: string, ours: string, peer: string, target: Bound | null = null): void {
    const known = this.#comparisons.some(
      (other) => other.work === work && other.unit === unit && other.ours === ours && other.peer === peer,
    );
    if (!known) this.#comparisons.push({ work, unit, ours, peer, target });
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /** One line for each contender, those of one work together, in the order they came; `judged` false leaves `met` open. */
  lines(judged: boolean): Line[] {
    return this.#byWork().flatMap((entry) => {
      const comparisons = this.#comparisons.filter(
        ({ work, unit, peer }) => work === entry.work && unit === entry.unit && peer === entry.contender,
      );
      if (comparisons.length === 0) return [this.#line(entry, null, entry.target, judged)];
      return comparisons.map((comparison) => {
        const ours = this.#find(comparison.work, comparison.unit, comparison.ours)?.values ?? [];
        const values = ratiosByRun(ours, entry.values);
        const ratio = values.length === 0 ? null : { values, ...summarize(values) };
        return this.#line(entry, ratio, comparison.target, judged);
      });
    });
  }

  #line(entry: Entry, ratio: Line['ratio'], target: Bound | null, judged: boolean): Line {
    const summary = summarize(entry.values);
    const met = target === null || !judged ? null : meets((ratio ?? summary).median, target);
    const { work, unit, contender, values } = entry;
    return { row: this.#row, work, unit, contender, values, summary, ratio, target, met };
  }

  #byWork(): Entry[] {
    const groups = new Map<string, Entry[]>();
    for (const entry of this.#entries) {
      const name = `${entry.work}\0${entry.unit}`;
      groups.set(name, [...(groups.get(name) ?? []), entry]);
    }
    return [...groups.values()].flat();
  }

  #find(work: string, unit: string, contender: string): Entry | undefined {
    return this.#entries.find(
      (entry) => entry.work === work && entry.unit === unit && entry.contender === contender,
    );
  }
}
