import { createHash } from 'node:crypto';

/** Seeded random numbers (sfc32): the same text gives the same row on every machine. */
export class Random {
  readonly #label: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(label: string) {
    this.#label = label;
    const seed = createHash('sha256').update(label).digest();
    this.#a = seed.readInt32LE(0);
    this.#b = seed.readInt32LE(4);
    this.#c = seed.readInt32LE(8);
    for (let i = 0; i < 12; i += 1) this.next();
  }

  /** A row of its own, so that one part drawing more does not change what another draws. */
  fork(label: string): Random {
    return new Random(`${this.#label}/${label}`);
  }

  /** From 0 up to, but not, 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** A whole number whose logarithm is spread evenly; both above 0. */
  logInt(least: number, most: number): number {
    return Math.min(most, Math.floor(least * ((most + 1) / least) ** this.next()));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error('Cannot pick from nothing');
    return from[Math.floor(this.next() * from.length)] as T;
  }

  /** One value after the other: all of them in a random order, then again in another. */
  *deck<T>(from: readonly T[]): Generator<T, never> {
    if (from.length === 0) throw new Error('Cannot draw from nothing');
    for (;;) {
      const left = [...from];
      while (left.length > 0) yield left.splice(this.int(0, left.length - 1), 1)[0] as T;
    }
  }

  /** One of the values, each as often as its weight says. */
  weighted<T>(from: readonly (readonly [number, T])[]): T {
    let rest = this.next() * from.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of from) {
      rest -= weight;
      if (rest < 0) return value;
    }
    return this.pick(from)[1];
  }

  /** Waiting time until the next of events that come at random, `meanMs` apart on average. */
  waitMs(meanMs: number): number {
    return -Math.log(1 - this.next()) * meanMs;
  }
}
