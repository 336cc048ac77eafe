// What was said here and is not known to be in the log yet. It outlives a broken connection and a reload of the tab.

/** The messages of one tab that wait; in order. */
export class Outbox {
  #key;
  items = [];

  constructor(user) {
    this.#key = `chat/${user}/outbox`;
    try {
      this.items = JSON.parse(sessionStorage.getItem(this.#key) ?? '[]');
    } catch {
      sessionStorage.removeItem(this.#key); // not ours
    }
  }

  add(item) {
    this.items.push({ ...item, state: 'waiting' });
    this.#write();
  }

  /** Those that have to be sent, or sent again: all that the broker has not answered. */
  unsettled() {
    return this.items.filter(item => item.state === 'waiting');
  }

  /** A receipt came: it is in the log, and will be on the screen when it comes round. */
  noteStored(chatId) {
    const item = this.items.find(item => item.chatId === chatId);
    if (item) item.state = 'stored';
    this.#write();
  }

  /** The broker refused it for good. */
  noteRefused(chatId, why) {
    const item = this.items.find(item => item.chatId === chatId);
    if (item) Object.assign(item, { state: 'refused', why });
    this.#write();
  }

  /** It came round. */
  remove(chatId) {
    this.items = this.items.filter(item => item.chatId !== chatId);
    this.#write();
  }

  #write() {
    sessionStorage.setItem(this.#key, JSON.stringify(this.items));
  }
}
