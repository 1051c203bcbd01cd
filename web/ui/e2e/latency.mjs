import { open } from './pages.mjs';

/**
 * How soon a machine's change is on the screen. The hook changes the machine;
 * the time runs from the answer's request to the first frame that shows it.
 */
export async function latency(browser, { base, hook, lines, tries }) {
  const line = lines.find((l) => (l.machines ?? []).length > 0);
  if (!line) throw new Error('there is no line with a machine');
  const machine = line.machines[0].id;
  const { context, page } = await open(browser, base, `/lines/${encodeURIComponent(line.id)}`);
  const took = [];
  try {
    await page.waitForSelector(`[data-testid="machine-tile-${machine}"]`);
    await page.evaluate((id) => {
      const tile = document.querySelector(`[data-testid="machine-tile-${id}"]`);
      window.seen = [];
      new MutationObserver(() => requestAnimationFrame(() => window.seen.push({ class: tile.dataset.class, at: Date.now() }))).observe(tile, { attributes: true, attributeFilter: ['data-class'] });
    }, machine);
    for (let i = 0; i < tries; i++) {
      await page.evaluate(() => void (window.seen = []));
      const asked = Date.now();
      const answer = await fetch(`${hook}${hook.includes('?') ? '&' : '?'}machine=${encodeURIComponent(machine)}`);
      if (!answer.ok) throw new Error(`hook answered ${answer.status}: ${await answer.text()}`);
      const want = (await answer.json()).class;
      const shown = await page.waitForFunction((c) => window.seen.find((s) => s.class === c), want, { timeout: 30_000 });
      took.push((await shown.jsonValue()).at - asked);
      await page.waitForTimeout(50 + Math.random() * 200); // at any moment of the gateway's beat
    }
  } finally {
    await context.close();
  }
  took.sort((a, b) => a - b);
  const at = (share) => took[Math.min(took.length - 1, Math.floor(share * took.length))];
  const said = `${took.length} changes, p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, most ${took.at(-1)} ms`;
  if (at(0.95) > 1000) throw new Error(`${said}; want p95 within 1000 ms`);
  return said;
}
