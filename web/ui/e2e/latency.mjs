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
  const tile = `[data-testid="machine-tile-${machine}"]`;
  try {
    await page.waitForSelector(tile);
    await page.evaluate((id) => {
      const tile = document.querySelector(`[data-testid="machine-tile-${id}"]`);
      window.seen = [];
      new MutationObserver(() => requestAnimationFrame(() => window.seen.push({ class: tile.dataset.class, at: Date.now() }))).observe(tile, { attributes: true, attributeFilter: ['data-class'] });
    }, machine);
    const change = async () => {
      const answer = await fetch(`${hook}${hook.includes('?') ? '&' : '?'}machine=${encodeURIComponent(machine)}`);
      if (!answer.ok) throw new Error(`hook answered ${answer.status}: ${await answer.text()}`);
      return (await answer.json()).class;
    };
    // The machine may be in the first state already, in a break for one.
    const first = await change();
    await page.waitForFunction(([t, c]) => document.querySelector(t).dataset.class === c, [tile, first], { timeout: 30_000 });
    for (let i = 0; i < tries; i++) {
      await page.evaluate(() => void (window.seen = []));
      const asked = Date.now();
      const want = await change();
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
