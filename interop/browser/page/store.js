// What the page keeps over a reload: of each source (a room, or one's private messages) the last messages and the position to resume after.

const keptMax = 500; // messages of a source, on the screen and over a reload; older ones are dropped
const idsMax = 2_000; // of messages that were seen, to know a repetition

/** The kept part of one source. Both tabs of a user may write it: whichever wins, position and messages belong together. */
export class Log {
  #key;
  #writing = false;
  position; // message-id of the last message seen
  offset = -1; // of that message
  joined = false; // a SUBSCRIBE was receipted once
  messages = [];
  ids = [];

  constructor(user, source) {
    this.#key = `chat/${user}/${source}`;
    try {
      Object.assign(this, JSON.parse(localStorage.getItem(this.#key) ?? '{}'));
    } catch {
      localStorage.removeItem(this.#key); // not ours
    }
  }

  /** Takes a message that is new; tells 'repeated' or 'twin' of one that is not. */
  add(message) {
    if (message.offset <= this.offset) return 'repeated';
    this.position = message.id;
    this.offset = message.offset;
    this.#write();
    if (this.ids.includes(message.chatId)) return 'twin';
    this.ids = [...this.ids, message.chatId].slice(-idsMax);
    this.messages = [...this.messages, message].slice(-keptMax);
    return 'new';
  }

  noteJoined() {
    if (this.joined) return;
    this.joined = true;
    this.#write();
  }

  /** Writes once for all messages that came in one piece. */
  #write() {
    if (this.#writing) return;
    this.#writing = true;
    queueMicrotask(() => {
      this.#writing = false;
      const { position, offset, joined, messages, ids } = this;
      localStorage.setItem(this.#key, JSON.stringify({ position, offset, joined, messages, ids }));
    });
  }
}

/** Forgets all that a user's pages kept. */
export function forget(user) {
  for (const key of Object.keys(localStorage)) if (key.startsWith(`chat/${user}/`)) localStorage.removeItem(key);
}
