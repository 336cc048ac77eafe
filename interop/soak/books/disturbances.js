// When what was not itself: a node or an instance from the moment that somebody laid hands on it until it was back.

export class Disturbances {
  #intervals = []; // {what, from, until}

  /** Something begins to be disturbed; call what is given when it is over. */
  begin(what) {
    const interval = { what, from: Date.now(), until: Infinity };
    this.#intervals.push(interval);
    return () => (interval.until = Date.now());
  }

  /** Whether any of these was disturbed at a moment between two. */
  any(whats, from, until) {
    return this.#intervals.some(interval => whats.includes(interval.what) && interval.from <= until && interval.until >= from);
  }

  /** Whether it is disturbed now. */
  now(what) {
    return this.#intervals.some(interval => interval.what === what && interval.until === Infinity);
  }
}
