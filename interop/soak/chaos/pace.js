// Waiting that can be cut short: the end of a soak does not wait for the next blow.

export class Pace {
  #stopped = false;
  #wake = new Set();

  /** Waits; false when it was cut short. */
  async wait(millis) {
    if (this.#stopped) return false;
    await new Promise(resolve => {
      const timer = setTimeout(done, millis);
      const wake = this.#wake;
      function done() {
        clearTimeout(timer);
        wake.delete(done);
        resolve();
      }
      wake.add(done);
    });
    return !this.#stopped;
  }

  stop() {
    this.#stopped = true;
    for (const wake of [...this.#wake]) wake();
  }
}
