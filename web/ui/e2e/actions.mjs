import { AxeBuilder } from '@axe-core/playwright';
import { open } from './pages.mjs';

/** What people do on the pages: tap, change the language, go on, come back. */
export async function actions(browser, base, lines, check) {
  /** Runs f on a page; what the page complains of fails the check too. */
  const on = async (path, f) => {
    const { context, page, complaints } = await open(browser, base, path);
    try {
      const said = await f(page, context);
      if (complaints.length > 0) throw new Error(complaints.join('; '));
      return said;
    } finally {
      await context.close();
    }
  };
  const line = lines.find((l) => (l.machines ?? []).length > 0);

  await check('language changes in place and stays', () =>
    on('/', async (page) => {
      await page.getByTestId('language').click();
      await page.waitForFunction(() => document.documentElement.lang === 'zh-CN');
      await page.goto(`${base}/gateways`);
      await page.waitForFunction(() => document.querySelector('h1')?.textContent === '网关');
    }),
  );
  await check('an unknown page says so', async () => {
    const { context, page } = await open(browser, base, '/nowhere');
    try {
      await page.getByRole('heading', { name: 'There is no such page.' }).waitFor();
    } finally {
      await context.close();
    }
  });
  if (!line) return;
  const path = `/lines/${encodeURIComponent(line.id)}`;
  await check('a row of the overview opens its line, back returns', () =>
    on('/', async (page) => {
      await page.getByTestId(`line-${line.id}`).getByRole('link').click();
      await page.getByTestId('line-page').waitFor();
      await page.goBack();
      await page.getByTestId('plant-today').waitFor();
    }),
  );
  await check('a tile tells all of its machine', () =>
    on(path, async (page) => {
      await page.getByTestId(`machine-tile-${line.machines[0].id}`).click();
      const sheet = page.getByTestId('sheet');
      await sheet.getByRole('heading', { name: 'Signals' }).waitFor();
      const axe = await new AxeBuilder({ page }).include('dialog').analyze();
      const bad = axe.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
      if (bad.length > 0) throw new Error(bad.map((v) => `axe ${v.id}: ${v.nodes[0].target}`).join('; '));
      await page.keyboard.press('Escape');
      await sheet.waitFor({ state: 'hidden' });
    }),
  );
  await check('a piece of the timeline tells its story', () =>
    on(path, async (page) => {
      const plot = page.getByTestId('timeline');
      await plot.locator('rect.piece').first().waitFor();
      const box = await plot.boundingBox();
      await plot.click({ position: { x: box.width - 12, y: 34 } });
      await page.getByTestId('sheet').getByText('length').waitFor();
    }),
  );
  await check('the chosen signal shows a value and a curve', () =>
    on(path, async (page) => {
      await page.getByTestId('signal-value').waitFor();
      await page.getByTestId('trend').locator('canvas').waitFor();
    }),
  );
  await check('a line page at rest asks for little', () =>
    on(path, async (page) => {
      await page.getByTestId('trend').locator('canvas').waitFor();
      await page.waitForTimeout(1000);
      const asked = [];
      page.on('request', (r) => asked.push(new URL(r.url()).pathname));
      await page.waitForTimeout(3000);
      if (asked.length > 3) throw new Error(`${asked.length} requests in 3 s: ${asked.slice(0, 5).join(', ')}`);
    }),
  );
  if (process.env.ACT) {
    await check('an alert is acknowledged by name', async () => {
      const open = await (await fetch(`${base}/api/v1/alerts?open=true`)).json();
      const alert = open.find((a) => a.state !== 'acknowledged' && lines.some((l) => l.id === a.line));
      if (!alert) return 'no open alert to acknowledge';
      return on(`/lines/${encodeURIComponent(alert.line)}`, async (page) => {
        const before = await page.getByTestId('alert-acknowledged').count();
        await page.getByTestId('acknowledge').first().click();
        await page.getByLabel('Your name').fill('e2e');
        await page.getByTestId('sheet').getByRole('button', { name: 'Acknowledge' }).click();
        await page.waitForFunction((n) => document.querySelectorAll('[data-testid=alert-acknowledged]').length > n, before, { timeout: 30_000 });
      });
    });
  }
  await check('a lost stream says so at once, and comes back', async () => {
    const { context, page } = await open(browser, base, path);
    try {
      // A stream that gives its snapshot and breaks, then silence, then the true one again.
      const snapshot = await firstEvent(base);
      let asked = 0;
      await context.route('**/api/v1/events*', (r) =>
        asked++ === 0 ? r.fulfill({ contentType: 'text/event-stream', body: snapshot }) : r.abort(),
      );
      await page.reload();
      await page.getByTestId('lost').waitFor({ timeout: 30_000 });
      await page.getByTestId('line-page').waitFor();
      await context.unroute('**/api/v1/events*');
      await page.getByTestId('lost').getByRole('button').click();
      await page.getByTestId('lost').waitFor({ state: 'detached', timeout: 30_000 });
    } finally {
      await context.close();
    }
  });
}

/** The first event of the live stream, as it comes over the wire. */
async function firstEvent(base) {
  const stop = new AbortController();
  const response = await fetch(`${base}/api/v1/events`, { signal: stop.signal });
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes('\n\n')) break;
  }
  stop.abort();
  return text.slice(0, text.indexOf('\n\n') + 2);
}
