// A set of numbers from 1 on that came nearly in order: all up to a mark, and those beyond it.

export class Numbers {
  #mark = 0;
  #beyond = new Set();

  add(number) {
    if (number <= this.#mark) return;
    this.#beyond.add(number);
    while (this.#beyond.delete(this.#mark + 1)) this.#mark++;
  }

  has(number) {
    return number <= this.#mark || this.#beyond.has(number);
  }

  get size() {
    return this.#mark + this.#beyond.size;
  }

  /** Those of `others` that are not here. */
  lacking(others) {
    const lacking = [];
    for (let n = this.#mark + 1; n <= others.#mark; n++) if (!this.has(n)) lacking.push(n);
    for (const n of others.#beyond) if (!this.has(n)) lacking.push(n);
    return lacking;
  }
}
