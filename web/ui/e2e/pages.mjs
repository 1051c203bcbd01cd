import { AxeBuilder } from '@axe-core/playwright';

const wide = { width: 1280, height: 800, theme: 'light' };

// Three sizes in light, and one of them in dark.
const sizes = [{ width: 1920, height: 1080, theme: 'light' }, wide, { ...wide, theme: 'dark' }, { width: 390, height: 844, theme: 'light' }];

/**
 * What to look at: every page in both languages and all sizes. MATRIX=short:
 * at 1280x800, and once more in one of the other sizes, each of them in turn;
 * forms, which are also filled in, once in one language and size.
 */
export function* matrix(pages, short) {
  const others = sizes.filter((s) => s !== wide);
  let n = 0;
  for (const page of pages) {
    if (short && page.form) {
      yield { page, lang: n % 2 ? 'zh' : 'en', size: sizes[(sizes.length - 1 - (n++ % sizes.length))] };
      continue;
    }
    for (const lang of ['en', 'zh']) {
      for (const size of short ? [wide, others[n++ % others.length]] : sizes) yield { page, lang, size };
    }
  }
}

/** Opens a page that shows live data, and gives what it complained of. Whoever opens one closes its context. */
export async function open(browser, base, path, { lang = 'en', size = wide } = {}) {
  const context = await browser.newContext({ viewport: { width: size.width, height: size.height }, colorScheme: size.theme });
  const page = await context.newPage();
  const complaints = listen(page, base);
  await go(page, `${base}${path}?lang=${lang}`);
  return { context, page, complaints };
}

function listen(page, base) {
  const complaints = [];
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') complaints.push(`console ${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => complaints.push(`page error: ${e.message}`));
  page.on('request', (r) => {
    const url = new URL(r.url());
    if (url.protocol.startsWith('http') && url.origin !== new URL(base).origin) complaints.push(`asked another host: ${r.url()}`);
  });
  return complaints;
}

async function go(page, url) {
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector('[data-testid=clock]')?.textContent?.includes(':'), null, { timeout: 30_000 });
}

/** Looks at pages one after the other in one browser context: nothing may be wrong with any of them. */
export class Look {
  constructor(browser, base) {
    this.browser = browser;
    this.base = base;
  }

  async page() {
    if (!this.tab) {
      this.context = await this.browser.newContext();
      this.tab = await this.context.newPage();
      this.complaints = listen(this.tab, this.base);
    }
    return this.tab;
  }

  async close() {
    await this.context?.close();
    this.tab = undefined;
  }

  async at({ page: { path, fits, drawn }, lang, size }, file) {
    const page = await this.page();
    this.complaints.length = 0;
    await page.setViewportSize({ width: size.width, height: size.height });
    await page.emulateMedia({ colorScheme: size.theme });
    await go(page, `${this.base}${path}?lang=${lang}`);
    await page.waitForFunction(() => document.querySelector('main h1, main [data-testid]') && !document.querySelector('main > [role=status], main .page > [role=status]'), null, { timeout: 30_000 });
    if (drawn) await page.locator(drawn).first().waitFor({ timeout: 30_000 });
    await page.waitForTimeout(150); // one more frame or two
    await page.screenshot({ path: file, fullPage: size.width < 600 });
    const complaints = [...this.complaints, ...(await judge(page, { lang, size, fits }))];
    if (complaints.length > 0) throw new Error(complaints.join('; '));
  }
}

/** What is wrong with the page that is open. */
async function judge(page, { lang, size, fits }) {
  const complaints = [];
  const box = await page.evaluate(() => ({ w: document.documentElement.scrollWidth, h: document.documentElement.scrollHeight, vw: innerWidth, vh: innerHeight, lang: document.documentElement.lang }));
  if (box.w > box.vw) complaints.push(`${box.w - box.vw} px too wide`);
  if (fits && size.width >= 1280 && box.h > box.vh) complaints.push(`scrolls: ${box.h - box.vh} px too high`);
  if (!box.lang.startsWith(lang)) complaints.push(`language is ${box.lang}, want ${lang}`);
  complaints.push(...(await page.evaluate(smallTargets)).map((s) => `touch target below 44 px: ${s}`));
  complaints.push(...(await page.evaluate(cutRows)));
  const axe = await new AxeBuilder({ page }).analyze();
  for (const v of axe.violations) {
    if (v.impact === 'serious' || v.impact === 'critical') complaints.push(`axe ${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')}`);
  }
  return complaints;
}

/** Runs in the page: what fingers must hit and is too small. */
function smallTargets() {
  return [...document.querySelectorAll('main button, main select, nav a')]
    .filter((e) => {
      const r = e.getBoundingClientRect();
      const more = getComputedStyle(e, '::after');
      const grown = more.content !== 'none' && more.position === 'absolute' ? parseFloat(more.height) : 0;
      return r.width > 0 && Math.max(r.height, grown) < 43.5;
    })
    .map((e) => `${e.textContent?.trim().slice(0, 24)} (${Math.round(e.getBoundingClientRect().height)} px)`);
}

/** Runs in the page: timelines that lose rows or their axis, and tiles whose name is cut. */
function cutRows() {
  const found = [];
  for (const plot of document.querySelectorAll('[data-testid=timeline]')) {
    const over = Math.round(plot.querySelector('svg').getBoundingClientRect().bottom - plot.parentElement.getBoundingClientRect().bottom);
    if (over > 1) found.push(`the timeline is cut: ${over} px`);
  }
  for (const name of document.querySelectorAll('[data-testid^=machine-tile-] .name')) {
    if (name.scrollHeight > name.clientHeight + 2 || name.scrollWidth > name.clientWidth + 1) found.push(`a tile cuts its name: ${name.textContent}`);
  }
  return found;
}
