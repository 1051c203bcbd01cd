import { open } from './pages.mjs';

/** What people say on the pages, and take back again. */
export async function says(browser, base, { hook, lines, check }) {
  const line = lines.find((l) => (l.machines ?? []).length > 0);
  if (!line) throw new Error('there is no line with a machine');
  /** Runs f on a page whose browser knows who speaks; what the page complains of fails the check too. */
  const on = async (path, f) => {
    const { context, page, complaints } = await open(browser, base, path);
    try {
      await page.evaluate(() => localStorage.setItem('linetwin.name', 'e2e'));
      await page.reload();
      const said = await f(page);
      if (complaints.length > 0) throw new Error(complaints.join('; '));
      return said;
    } finally {
      await context.close();
    }
  };
  const path = `/lines/${encodeURIComponent(line.id)}`;

  if (hook) {
    await check('a stop is given its reason with one tap, which is taken back', async () => {
      if (!(await planned(base, line.id))) return 'left out: no planned time now';
      return on(path, async (page) => {
        const picker = page.getByTestId('reason-picker');
        await picker.waitFor({ timeout: 60_000 });
        const stop = await picker.getAttribute('data-stop');
        await page.waitForTimeout(700); // a tap right after the question came is not taken
        await picker.getByTestId('reason-sensor').click();
        await page.getByTestId('reason-taken').waitFor({ timeout: 30_000 });
        const told = await said(base, 'stop', stop);
        if (told[0]?.value.reason !== 'sensor' || told[0]?.by !== 'e2e') throw new Error(`said of ${stop}: ${JSON.stringify(told[0])}`);
        await page.getByTestId('reason-undo').click();
        await picker.waitFor({ timeout: 30_000 });
        const undone = (await said(base, 'stop', stop))[0];
        if (undone?.undoes !== told[0].id) throw new Error(`after the undo: ${JSON.stringify(undone)}`);
      });
    });
  }
}

/** Holds the bottleneck of the first line until it is asked again: a stop without a reason. */
export async function hold(hook, lines) {
  const line = lines.find((l) => (l.machines ?? []).length > 0);
  const answer = await fetch(`${hook}${hook.includes('?') ? '&' : '?'}machine=${encodeURIComponent(line.bottleneck)}`);
  if (!answer.ok) throw new Error(`hook answered ${answer.status}: ${await answer.text()}`);
}

async function said(base, kind, key) {
  return (await fetch(`${base}/api/v1/entries?kind=${kind}&key=${encodeURIComponent(key)}`)).json();
}

/** Whether the line should work now, and for a minute at least has had to. */
async function planned(base, id) {
  const { shift, through } = await (await fetch(`${base}/api/v1/lines/${encodeURIComponent(id)}`)).json();
  const now = Date.parse(through);
  const near = (s) => Date.parse(s.from) - 60_000 < now && now < Date.parse(s.to) + 60_000;
  return shift !== null && now - Date.parse(shift.from) > 60_000 && now < Date.parse(shift.to) - 60_000 && !(shift.breaks ?? []).some(near);
}
