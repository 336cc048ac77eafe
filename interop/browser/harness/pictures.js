// Pictures of the page at key moments; each is taken only of a page whose layout is in order.

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { assertLayout } from './layout.js';

/** Where pictures go. */
export const folder = process.env.PICTURES ? path.resolve(process.env.PICTURES) : fileURLToPath(new URL('../pictures-out', import.meta.url));

async function keep(name, png) {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, `${name}.png`), png);
}

/** Takes a picture of a visitor's page, at another size of the screen if one is given. */
export async function picture(name, { page }, viewport = page.viewportSize()) {
  await keep(name, await shot(name, page, viewport));
}

/** Takes a picture of two pages beside each other, as two people have them before them. */
export async function pair(name, left, right) {
  const size = { width: 780, height: 720 };
  const shots = [await shot(`${name} (left)`, left.page, size), await shot(`${name} (right)`, right.page, size)];
  const context = await left.context.browser().newContext({ viewport: { width: 1660, height: 784 } });
  try {
    const page = await context.newPage();
    const images = shots.map(png => `<img src="data:image/png;base64,${png.toString('base64')}">`).join('');
    const style = `body { margin: 0; padding: 32px; display: flex; justify-content: space-between; background: #dfe3e8 }
      img { border-radius: 12px; box-shadow: 0 8px 28px rgb(28 33 40 / 22%) }`;
    await page.setContent(`<style>${style}</style>${images}`);
    await page.waitForFunction(() => [...document.images].every(image => image.complete && image.naturalWidth > 0));
    await keep(name, await page.screenshot());
  } finally {
    await context.close();
  }
}

async function shot(name, page, viewport) {
  const before = page.viewportSize();
  await page.setViewportSize(viewport);
  await page.evaluate(() => document.fonts.ready);
  await assertLayout(page, name);
  const png = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  await page.setViewportSize(before);
  return png;
}
