// Facts about the layout of a page that hold with any font: nothing is cut off, covered or out of sight, and all can be read.

import assert from 'node:assert/strict';

const settleMillis = 5_000; // a page draws itself anew when its screen has another size

/** Fails with all faults that the page has in the state that it is in, and keeps. */
export async function assertLayout(page, what) {
  const { width, height } = page.viewportSize();
  let faults = await layoutFaults(page);
  for (const deadline = Date.now() + settleMillis; faults.length > 0 && Date.now() < deadline; ) faults = await layoutFaults(page);
  assert.deepEqual(faults, [], `layout of ${what} at ${width}x${height}`);
}

export const layoutFaults = page => page.evaluate(findFaults);

/** Runs in the page. */
function findFaults() {
  const faults = [];
  const short = text => JSON.stringify(text.trim().slice(0, 40));
  const shown = element => element && element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;
  const round = ({ left, top, right, bottom }) => [left, top, right, bottom].map(Math.round).join();
  const meet = (a, b, slack) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slack;
  const inside = (a, b) => a.left >= b.left - 1 && a.top >= b.top - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1;
  const screen = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };

  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide, the screen ${innerWidth}`);
  if (document.documentElement.scrollHeight > innerHeight) faults.push(`the page is ${document.documentElement.scrollHeight} high, the screen ${innerHeight}`);

  // Regions lie on the screen and beside each other.
  for (const group of [['.bar', '.side', '.talk'], ['#banner', '#messages', '#composer'], ['.brand', '#nodes', '#badge'], ['#quoting', '#text', '#send']]) {
    const regions = group.map(name => [name, document.querySelector(name)]).filter(([, element]) => shown(element));
    for (const [name, element] of regions) {
      const rect = element.getBoundingClientRect();
      if (!inside(rect, screen)) faults.push(`${name} is out of sight: ${round(rect)}`);
      for (const [other, beside] of regions) {
        if (name < other && meet(rect, beside.getBoundingClientRect(), 0.5)) faults.push(`${name} and ${other} overlap`);
      }
    }
  }

  // The part of the screen in which an element can be seen: what scrolls may hide text, what clips may not.
  const scrolls = value => value === 'auto' || value === 'scroll';
  const clips = element => getComputedStyle(element).overflowX !== 'visible' || getComputedStyle(element).overflowY !== 'visible';
  const ancestors = element => (element.parentElement ? [element.parentElement, ...ancestors(element.parentElement)] : []);
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === '' || !shown(element) || ['SCRIPT', 'OPTION', 'SELECT', 'TEXTAREA'].includes(element.tagName)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const around = [element, ...ancestors(element)].filter(clips);
    for (const rect of range.getClientRects()) {
      if (rect.width < 1) continue;
      const scroller = around.find(one => scrolls(getComputedStyle(one).overflowY) || scrolls(getComputedStyle(one).overflowX));
      const window = scroller ? scroller.getBoundingClientRect() : screen;
      if (scroller ? !meet(rect, window, 0) : false) continue; // scrolled away
      if (!scroller && !inside(rect, screen)) faults.push(`${short(node.data)} is off the screen: ${round(rect)}`);
      for (const one of around) if (one !== scroller && !inside(rect, one.getBoundingClientRect())) faults.push(`${short(node.data)} is cut off by ${one.tagName}.${one.className}`);
      const box = element.getBoundingClientRect();
      if (getComputedStyle(element).display !== 'inline' && (rect.left < box.left - 1 || rect.right > box.right + 1)) {
        faults.push(`${short(node.data)} sticks out of its ${element.tagName}.${element.className}: ${round(rect)} and ${round(box)}`);
      }
      const part = { left: Math.max(rect.left, window.left), top: Math.max(rect.top, window.top), right: Math.min(rect.right, window.right), bottom: Math.min(rect.bottom, window.bottom) };
      lines.push({ node, element, rect: part, text: short(node.data) });
    }
  }
  for (const [i, a] of lines.entries()) {
    for (const b of lines.slice(i + 1)) if (a.node !== b.node && meet(a.rect, b.rect, 4)) faults.push(`${a.text} and ${b.text} overlap`);
  }

  // What is to be pressed is not covered.
  for (const button of document.querySelectorAll('button, textarea, select, input')) {
    const rect = button.getBoundingClientRect();
    const [x, y] = [(rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2];
    if (!shown(button) || ancestors(button).some(one => clips(one) && (x > one.getBoundingClientRect().right || y > one.getBoundingClientRect().bottom))) continue;
    const top = document.elementFromPoint(x, y);
    if (!button.contains(top)) faults.push(`${button.tagName} ${short(button.textContent)} is covered by ${top?.tagName}.${top?.className}`);
  }

  // The newest is in sight.
  const list = document.querySelector('#messages');
  if (shown(list) && list.lastElementChild && !inside(list.lastElementChild.getBoundingClientRect(), list.getBoundingClientRect())) {
    if (list.lastElementChild.getBoundingClientRect().height < list.clientHeight) faults.push('the last message is not in sight');
  }

  // Text can be read: contrast of 4.5 to 1 with the nearest background (WCAG AA).
  const channels = value => value.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const seen = new Set();
  for (const { element, text } of lines) {
    if (seen.has(element)) continue;
    seen.add(element);
    const ground = [element, ...ancestors(element)].map(one => channels(getComputedStyle(one).backgroundColor)).find(([, , , alpha = 1]) => alpha > 0) ?? [255, 255, 255];
    const [low, high] = [light(channels(getComputedStyle(element).color)), light(ground)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) faults.push(`${text} has a contrast of ${contrast.toFixed(1)} to 1, want 4.5`);
  }

  // The badge has the colour of the state: green, amber, red.
  const badge = document.querySelector('#badge');
  if (shown(badge)) {
    const [r, g, b] = channels(getComputedStyle(badge).backgroundColor);
    const high = Math.max(r, g, b);
    const span = high - Math.min(r, g, b) || 1;
    const hue = (60 * (high === r ? (g - b) / span : high === g ? 2 + (b - r) / span : 4 + (r - g) / span) + 360) % 360;
    const name = hue < 15 || hue > 345 ? 'red' : hue < 55 ? 'amber' : hue > 90 && hue < 170 ? 'green' : `hue ${Math.round(hue)}`;
    const want = { connected: 'green', connecting: 'amber', reconnecting: 'amber', refused: 'red' }[badge.dataset.state];
    if (name !== want) faults.push(`the badge is ${name} when ${badge.dataset.state}, want ${want}`);
  }
  return faults;
}
