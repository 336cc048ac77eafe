// What one browser got of what a service sent, each SEND with a number of its own: its copy.

export class Arrivals {
  received = 0;
  repeated = 0; // that the service's framework sent twice
  #numbers = new Set();
  #copies = new Set();

  /** @param {{name: string, faults: Faults}} options */
  constructor({ name, faults }) {
    this.name = name;
    this.faults = faults;
  }

  /**
   * A message came. The same copy again was doubled by the broker. Another copy of it is the framework's doing, where `maySendTwice` allows that: for
   * a user, while instances tell each other of sessions.
   */
  take(number, copy, { maySendTwice }) {
    this.received++;
    if (copy === undefined) this.faults.note('uncounted', `${this.name} got number ${number} without the number of its copy`);
    const again = this.#numbers.has(number);
    if (this.#copies.has(copy) || (again && !maySendTwice)) this.faults.note('again', `${this.name} got number ${number} (copy ${copy}), which it had before`);
    else if (again) this.repeated++;
    this.#numbers.add(number);
    this.#copies.add(copy);
  }

  has(number) {
    return this.#numbers.has(number);
  }
}
