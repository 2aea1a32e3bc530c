/**
 * A sorted set of numbers in one flat array (8 bytes each), made for numbers that mostly arrive in growing order and
 * mostly leave from the front: both cost O(1) then, anything else a search and a move of the shorter side.
 */
export class OrderedNumbers {
  #values = new Float64Array(16);
  #start = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#start;
  }

  /** The smallest number, or undefined. */
  first(): number | undefined {
    return this.#start === this.#end ? undefined : this.#values[this.#start];
  }

  /** The number at a position counted from the smallest. */
  at(index: number): number | undefined {
    return index >= 0 && index < this.size ? this.#values[this.#start + index] : undefined;
  }

  /** How many numbers are smaller than `value`. */
  rank(value: number): number {
    let low = this.#start;
    let high = this.#end;
    if (low === high || value > (this.#values[high - 1] as number)) return high - low;
    if (value <= (this.#values[low] as number)) return 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#values[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    return low - this.#start;
  }

  has(value: number): boolean {
    return this.at(this.rank(value)) === value;
  }

  /** The smallest number that is larger than `value`, or undefined. */
  after(value: number): number | undefined {
    const rank = this.rank(value);
    return this.at(this.at(rank) === value ? rank + 1 : rank);
  }

  /** The largest number that is smaller than `value`, or undefined. */
  before(value: number): number | undefined {
    return this.at(this.rank(value) - 1);
  }

  /** Returns whether the number was not there before. */
  add(value: number): boolean {
    const rank = this.rank(value);
    if (this.at(rank) === value) return false;
    if (this.#end === this.#values.length) this.#makeRoom();
    const index = this.#start + rank;
    if (index < this.#end) this.#values.copyWithin(index + 1, index, this.#end);
    this.#values[index] = value;
    this.#end += 1;
    return true;
  }

  /** Returns whether the number was there. */
  delete(value: number): boolean {
    const rank = this.rank(value);
    if (this.at(rank) !== value) return false;
    const index = this.#start + rank;
    if (rank < this.size / 2) {
      this.#values.copyWithin(this.#start + 1, this.#start, index);
      this.#start += 1;
    } else {
      this.#values.copyWithin(index, index + 1, this.#end);
      this.#end -= 1;
    }
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
      if (this.#values.length > 1024) this.#values = new Float64Array(16);
    }
    return true;
  }

  #makeRoom(): void {
    const size = this.size;
    const values = size * 2 > this.#values.length ? new Float64Array(this.#values.length * 2) : this.#values;
    if (values === this.#values) values.copyWithin(0, this.#start, this.#end);
    else values.set(this.#values.subarray(this.#start, this.#end));
    this.#values = values;
    this.#start = 0;
    this.#end = size;
  }
}
