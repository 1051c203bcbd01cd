import { AxeBuilder } from '@axe-core/playwright';

// Three sizes in light, and one of them in dark.
export const sizes = [
  { width: 1920, height: 1080, theme: 'light' },
  { width: 1280, height: 800, theme: 'light' },
  { width: 1280, height: 800, theme: 'dark' },
  { width: 390, height: 844, theme: 'light' },
];

/** Opens a page that shows live data, and gives what it complained of. */
export async function open(browser, base, path, { lang = 'en', size = sizes[1] } = {}) {
  const context = await browser.newContext({ viewport: { width: size.width, height: size.height }, colorScheme: size.theme });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') complaints.push(`console ${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => complaints.push(`page error: ${e.message}`));
  page.on('request', (r) => {
    const url = new URL(r.url());
    if (url.protocol.startsWith('http') && url.origin !== new URL(base).origin) complaints.push(`asked another host: ${r.url()}`);
  });
  await page.goto(`${base}${path}?lang=${lang}`);
  await page.waitForFunction(() => document.querySelector('[data-testid=clock]')?.textContent?.includes(':'), null, { timeout: 30_000 });
  return { context, page, complaints };
}

/** Looks at one page in one language and size: nothing may be wrong with it. */
export async function look(browser, { base, page: { path, fits }, lang, size, file }) {
  const { context, page, complaints } = await open(browser, base, path, { lang, size });
  try {
    await page.waitForFunction(() => document.querySelector('main h1, main [data-testid]') && !document.querySelector('main > [role=status]'), null, { timeout: 30_000 });
    await page.waitForTimeout(700); // what is asked for apart from the stream has come, and is drawn
    await page.screenshot({ path: file, fullPage: size.width < 600 });
    const box = await page.evaluate(() => ({ w: document.documentElement.scrollWidth, h: document.documentElement.scrollHeight, vw: innerWidth, vh: innerHeight, lang: document.documentElement.lang }));
    if (box.w > box.vw) complaints.push(`${box.w - box.vw} px too wide`);
    if (fits && size.width >= 1280 && box.h > box.vh) complaints.push(`scrolls: ${box.h - box.vh} px too high`);
    if (!box.lang.startsWith(lang)) complaints.push(`language is ${box.lang}, want ${lang}`);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('main button, main select, nav a')]
        .filter((e) => {
          const r = e.getBoundingClientRect();
          const more = getComputedStyle(e, '::after');
          const grown = more.content !== 'none' && more.position === 'absolute' ? parseFloat(more.height) : 0;
          return r.width > 0 && Math.max(r.height, grown) < 43.5;
        })
        .map((e) => `${e.textContent?.trim().slice(0, 24)} (${Math.round(e.getBoundingClientRect().height)} px)`),
    );
    if (small.length > 0) complaints.push(`touch targets below 44 px: ${small.join(', ')}`);
    const axe = await new AxeBuilder({ page }).analyze();
    for (const v of axe.violations) {
      if (v.impact === 'serious' || v.impact === 'critical') complaints.push(`axe ${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')}`);
    }
  } finally {
    await context.close();
  }
  if (complaints.length > 0) throw new Error(complaints.join('; '));
}
