/**
 * What is being written down just now, which reads of the journal do not show yet: not even reads within the commit
 * that writes it. Whoever decides by reading asks here too.
 */
export class Unsettled {
  readonly #recording = new Map<number, number>();
  readonly #forgetting = new Set<number>();
  readonly #delivered = new Map<number, number>();

  /** A change of the job is being committed until `recorded`. */
  recording(sequence: number, deliveredKey: number | undefined): void {
    this.#recording.set(sequence, (this.#recording.get(sequence) ?? 0) + 1);
    if (deliveredKey !== undefined) this.#delivered.set(deliveredKey, sequence);
  }

  recorded(sequence: number, deliveredKey: number | undefined): void {
    const left = (this.#recording.get(sequence) ?? 0) - 1;
    if (left > 0) this.#recording.set(sequence, left);
    else this.#recording.delete(sequence);
    if (deliveredKey !== undefined && this.#delivered.get(deliveredKey) === sequence)
      this.#delivered.delete(deliveredKey);
  }

  isRecording(sequence: number): boolean {
    return this.#recording.has(sequence);
  }

  /** The sequence whose delivery to a file is being committed; 0 for none. */
  deliveredTo(key: number): number {
    return this.#delivered.get(key) ?? 0;
  }

  /** The jobs are being removed until `forgotten`: nothing may be recorded of them any more. */
  forgetting(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#forgetting.add(sequence);
  }

  forgotten(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#forgetting.delete(sequence);
  }

  isForgetting(sequence: number): boolean {
    return this.#forgetting.has(sequence);
  }
}
