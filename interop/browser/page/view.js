// The screen: draws the conversation, the lists beside it and the state of the connection. Text goes in as text, never as HTML.

import { colour, initial } from './words.js';

const shownMax = 500; // messages in the document
const journalMax = 6;
const endPixels = 40; // so near to the end counts as at the end

export const badgeWords = { connecting: 'Connecting', connected: 'Connected', reconnecting: 'Reconnecting', refused: 'Refused' };
const pendingWords = { waiting: 'on its way', stored: 'stored', refused: 'not sent' };

const $ = id => document.getElementById(id);

/** An element with classes, content (text or elements) and data. */
function make(tag, className, content, data = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...[content ?? []].flat());
  Object.assign(element.dataset, data);
  return element;
}

const hour = time => new Date(time).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
const avatar = name => make('span', `avatar colour-${colour(name)}`, initial(name));

export class View {
  #atEnd = true;

  constructor(me) {
    this.me = me;
    $('me').replaceChildren(avatar(me), ` ${me}`);
    this.onQuote = () => {};
    // Whoever reads further up is left there; whoever is at the end stays at the end, also when the room for the list changes.
    const list = $('messages');
    let before = {};
    list.addEventListener('scroll', () => {
      const { scrollTop, scrollHeight, clientHeight } = list;
      const sameSize = scrollHeight === before.scrollHeight && clientHeight === before.clientHeight;
      if (scrollHeight - scrollTop - clientHeight < endPixels) this.#atEnd = true;
      else if (sameSize && scrollTop < before.scrollTop) this.#atEnd = false; // a reader went up
      before = { scrollTop, scrollHeight, clientHeight };
    });
    new ResizeObserver(() => this.#end()).observe(list);
  }

  /** One message of the open conversation, at the end. */
  addMessage(message) {
    const list = $('messages');
    list.insertBefore(this.#message(message), list.querySelector('.pending'));
    while (list.querySelectorAll('.message').length > shownMax) list.querySelector('.message').remove();
    this.#end();
  }

  #message({ id, from, text, quote, time }) {
    const own = from === this.me;
    const bubble = make('div', 'bubble', make('p', 'text', text));
    if (quote) bubble.prepend(make('blockquote', 'quote', quote));
    bubble.title = 'Double click to quote';
    bubble.addEventListener('dblclick', () => this.onQuote(text));
    const head = make('div', 'head', [make('b', 'from', from), make('time', '', hour(time))]);
    const item = make('li', own ? 'message own' : 'message', [avatar(from), make('div', 'said', [head, bubble])], { id });
    const before = [...$('messages').querySelectorAll('.message, .line')].at(-1);
    if (before?.classList.contains('message') && before.dataset.from === from) item.classList.add('same');
    item.dataset.from = from;
    return item;
  }

  /** A line between messages: something happened here. */
  addLine(text) {
    const list = $('messages');
    list.insertBefore(make('li', 'line', make('span', '', text)), list.querySelector('.pending'));
    this.#end();
  }

  /** Draws a conversation anew. */
  show(messages) {
    $('messages').replaceChildren();
    for (const message of messages.slice(-shownMax)) $('messages').append(this.#message(message));
    this.#atEnd = true;
    this.#end();
  }

  /** What was said here and has not come round stands below the conversation. */
  showPending(items) {
    for (const old of $('messages').querySelectorAll('.pending')) old.remove();
    for (const { text, state, why } of items) {
      const note = make('span', 'note', why ? `${pendingWords[state]}: ${why}` : pendingWords[state]);
      $('messages').append(make('li', 'pending', make('div', 'said', [make('div', 'bubble', make('p', 'text', text)), note]), { state }));
    }
    this.#end();
  }

  showPlaces(rooms, people, open, choose) {
    const entry = (place, face, name, unread) => {
      const button = make('button', 'place', [face, make('span', 'name', name)]);
      if (unread) button.append(make('span', 'unread', String(unread)));
      button.setAttribute('aria-current', String(place.key === open));
      button.addEventListener('click', () => choose(place));
      return make('li', '', button, { key: place.key });
    };
    $('rooms').replaceChildren(...rooms.map(({ place, unread }) => entry(place, make('span', 'hash', '#'), place.room, unread)));
    $('people').replaceChildren(...people.map(({ place, unread }) => entry(place, avatar(place.user), place.user, unread)));
  }

  showConnection({ state, nodes, current, failed }, move) {
    const badge = $('badge');
    badge.dataset.state = state;
    badge.textContent = badgeWords[state];
    $('nodes').replaceChildren(
      ...nodes.map(({ name }, i) => {
        const pill = make('button', 'node', name, { state: i === current || state === 'refused' ? state : failed.has(i) ? 'failed' : 'idle' });
        pill.type = 'button';
        if (i === current) pill.setAttribute('aria-current', 'true');
        pill.title = i === current ? `this page's node` : `move to ${name}`;
        pill.addEventListener('click', () => move(i));
        return pill;
      }),
    );
  }

  note(what) {
    const list = $('journal');
    list.append(make('li', '', [make('time', '', new Date().toLocaleTimeString('en-GB')), ` ${what}`], { what }));
    while (list.children.length > journalMax) list.firstChild.remove();
  }

  /** A notice over the conversation; with an action it has a button. */
  showBanner(text, kind = 'notice', action) {
    const banner = $('banner');
    banner.hidden = !text;
    banner.dataset.kind = kind;
    banner.replaceChildren(make('span', '', text ?? ''));
    if (!action) return;
    const button = make('button', '', action.label);
    button.addEventListener('click', action.run);
    banner.append(button);
  }

  showQuoting(text) {
    $('quoting').hidden = !text;
    $('quoting').textContent = text ?? '';
  }

  /** To the newest message, wherever the reader was. */
  goToEnd() {
    this.#atEnd = true;
    this.#end();
  }

  #end() {
    if (this.#atEnd) $('messages').scrollTop = $('messages').scrollHeight;
  }
}
