// The page: asks who you are, then joins the connection, the chat and the screen.
//
// The address may say all of it: ?name=alice&node=2&room=lobby&rooms=lobby,news

import { Chat } from './chat.js';
import { Connection } from './connection.js';
import { forget } from './store.js';
import { View } from './view.js';

const $ = id => document.getElementById(id);
const noticeMillis = 15_000;

const config = await (await fetch('/config.json')).json();
const address = new URLSearchParams(location.search);

if (address.get('name')) comeIn(address.get('name'), Number(address.get('node') ?? 1) - 1);
else ask();

function ask() {
  const form = $('welcome');
  form.hidden = false;
  form.elements.node.replaceChildren(...config.nodes.map(({ name }, i) => new Option(name, String(i + 1))));
  form.addEventListener('submit', event => {
    event.preventDefault();
    address.set('name', form.elements.name.value.trim());
    address.set('node', form.elements.node.value);
    history.replaceState(null, '', `?${address}`);
    form.hidden = true;
    comeIn(address.get('name'), Number(form.elements.node.value) - 1);
  });
}

function comeIn(me, first) {
  const rooms = (address.get('rooms') ?? config.rooms.join()).split(',');
  const connection = new Connection({ nodes: config.nodes, first, login: me });
  const chat = new Chat({ me, rooms, connection });
  const view = new View(me);
  const key = ({ room, user }) => (room ? `#${room}` : `@${user}`);
  const place = ({ room, user }) => ({ room, user, key: key({ room, user }) });
  const people = new Set(chat.messages().flatMap(({ from, user }) => [from, user ?? from]).filter(name => name !== me));
  const unread = {};
  let open = place({ room: address.get('room') ?? rooms[0] });
  let quote;
  let lost; // the node that the connection broke with

  const drawPlaces = () => {
    const entry = one => ({ place: place(one), unread: unread[key(one)] });
    view.showPlaces(rooms.map(room => entry({ room })), [...people].sort().map(user => entry({ user })), open.key, show);
  };
  const drawOutbox = () => {
    view.showPending(chat.outbox.items.filter(item => key(item) === open.key));
    Object.assign($('app').dataset, { ready: chat.ready, ...chat.tallies });
  };
  const drawConnection = () => view.showConnection(connection, index => void connection.moveTo(index));
  const setQuote = text => {
    quote = text;
    view.showQuoting(text);
    if (text) $('text').focus();
  };
  function show(where) {
    open = where;
    delete unread[open.key];
    view.show(chat.messages().filter(message => key(message) === open.key));
    $('text').placeholder = open.room ? `Say something in #${open.room}` : `Say something to ${open.user} alone`;
    setQuote();
    drawOutbox();
    drawPlaces();
  }
  view.onQuote = setQuote;

  chat.addEventListener('message', ({ detail: message }) => {
    for (const name of [message.from, message.user]) if (name && name !== me) people.add(name);
    if (key(message) === open.key) view.addMessage(message);
    else if (message.from !== me) unread[key(message)] = (unread[key(message)] ?? 0) + 1;
    drawPlaces();
  });
  chat.addEventListener('outbox', drawOutbox);
  chat.addEventListener('gap', () => view.addLine('some older messages are gone'));
  chat.addEventListener('notice', ({ detail: message }) => {
    view.showBanner(message);
    setTimeout(() => view.showBanner(), noticeMillis);
  });
  chat.addEventListener('trouble', ({ detail: { code, message, body } }) => {
    const again = { label: 'Forget what is kept here', run: () => (forget(me), location.reload()) };
    view.showBanner(`${message}. ${body}`, 'trouble', code === 'position-ahead' ? again : undefined);
  });
  connection.addEventListener('change', ({ detail: { what } }) => {
    drawConnection();
    if (what) view.note(what);
    if (connection.state === 'reconnecting') lost ??= connection.node.name;
    if (connection.state === 'refused') {
      const why = `The nodes answer, but none lets this page in. If ${location.origin} is not among their allowed origins, add it.`;
      view.showBanner(why, 'trouble');
    }
    drawOutbox();
  });
  connection.addEventListener('open', () => {
    if (lost) view.addLine(`${lost} lost · resumed on ${connection.node.name}`);
    if ($('banner').dataset.kind === 'trouble') view.showBanner();
    lost = undefined;
  });

  const textarea = $('text');
  const fit = () => {
    textarea.style.height = 'auto';
    textarea.style.height = `${textarea.scrollHeight}px`;
  };
  const say = () => {
    if (textarea.value.trim() === '') return;
    view.goToEnd();
    chat.say(open.room ? { room: open.room } : { user: open.user }, textarea.value, quote);
    textarea.value = '';
    setQuote();
    fit();
  };
  textarea.addEventListener('input', fit);
  textarea.addEventListener('keydown', event => {
    if (event.key === 'Escape') setQuote();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  });
  $('composer').addEventListener('submit', event => {
    event.preventDefault();
    say();
  });

  $('app').hidden = false;
  document.title = `${me} · Stampede chat`;
  show(address.get('with') ? place({ user: address.get('with') }) : open);
  drawConnection();
  fit();
  connection.start();
}
