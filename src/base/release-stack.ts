type Release = () => unknown;

/** Things to let go of, in the reverse of the order in which they were taken. */
export class ReleaseStack {
  #releases: Release[] = [];

  defer(release: Release): void {
    this.#releases.push(release);
  }

  /** Runs every release, last one first, whether or not others fail; then throws what failed first. */
  async release(): Promise<void> {
    const errors: unknown[] = [];
    for (let release = this.#releases.pop(); release !== undefined; release = this.#releases.pop()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
