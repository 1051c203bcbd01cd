import { readFile } from 'node:fs/promises';
import { open } from './pages.mjs';

/** What people say on the pages, and take back again. */
export async function says(browser, base, { hook, lines, check }) {
  const line = lines.find((l) => (l.machines ?? []).length > 0);
  if (!line) throw new Error('there is no line with a machine');
  /** Runs f on a page whose browser knows who speaks; what the page complains of fails the check too. */
  const on = async (path, f, expected) => {
    const { context, page, complaints } = await open(browser, base, path);
    try {
      await page.evaluate(() => localStorage.setItem('linetwin.name', 'e2e'));
      await page.reload();
      const said = await f(page);
      const others = complaints.filter((c) => !expected?.test(c));
      if (others.length > 0) throw new Error(others.join('; '));
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
        const reason = leaf(await (await fetch(`${base}/api/v1/reasons`)).json());
        await picker.getByTestId(`reason-${reason}`).click();
        await page.getByTestId('reason-taken').waitFor({ timeout: 30_000 });
        const told = await said(base, 'stop', stop);
        if (told[0]?.value.reason !== reason || told[0]?.by !== 'e2e') throw new Error(`said of ${stop}: ${JSON.stringify(told[0])}`);
        await page.getByTestId('reason-undo').click();
        await picker.waitFor({ timeout: 30_000 });
        const undone = (await said(base, 'stop', stop))[0];
        if (undone?.undoes !== told[0].id) throw new Error(`after the undo: ${JSON.stringify(undone)}`);
      });
    });
  }
  await check('a stop of the list is commented, which is taken back', () =>
    on(`${path}/stops`, async (page) => {
      await page.getByTestId('which-all').click();
      await page.getByTestId('stop').last().click();
      const sheet = page.getByTestId('stop-sheet');
      const stop = await sheet.getAttribute('data-stop');
      await page.getByLabel('Comment').fill('seen by e2e');
      await page.getByRole('button', { name: 'Save the comment' }).click();
      await page.getByTestId('undo').waitFor({ timeout: 30_000 });
      const told = (await said(base, 'stop', stop))[0];
      if (told?.value.comment !== 'seen by e2e') throw new Error(`said of ${stop}: ${JSON.stringify(told)}`);
      await page.getByTestId('stop-history').click();
      await page.getByTestId(`undo-${told.id}`).click();
      await page.getByText(`takes back entry ${told.id}`).waitFor({ timeout: 30_000 });
    }),
  );
  await check('a stop is split in two, and made whole again', () =>
    on(`${path}/stops`, async (page) => {
      await page.getByTestId('stop').last().click();
      const stop = await page.getByTestId('stop-sheet').getAttribute('data-stop');
      await page.getByTestId('stop-divide').click();
      await page.getByTestId('split').getByRole('button', { name: 'Split' }).click();
      await page.getByTestId('stop-sheet').getByText('part of a stop').waitFor({ timeout: 30_000 });
      const told = (await said(base, 'split', stop))[0];
      if (told?.value.parts.length !== 2) throw new Error(`said of ${stop}: ${JSON.stringify(told)}`);
      await page.getByTestId('undo').click();
      await page.getByTestId('stop-sheet').getByText('part of a stop').waitFor({ state: 'detached', timeout: 30_000 });
    }),
  );
  await check('a calendar is changed after a look at what that changes, and set back', () =>
    on('/calendars', async (page) => {
      await page.getByTestId('edit').click();
      // Since yesterday: the break of a shift that has been is worked longer or not at all.
      const from = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
      await page.getByTestId('calendar-form').getByLabel('Effective from, date').fill(from);
      await page.getByRole('button', { name: /^Remove the break/ }).first().click();
      await page.getByRole('button', { name: /^Remove the break/ }).first().click();
      await page.getByTestId('preview').click();
      const effects = page.getByTestId('effects');
      await effects.getByText('planned time').first().waitFor({ timeout: 30_000 });
      await page.getByTestId('save').click();
      await page.getByTestId('undo').waitFor({ timeout: 30_000 });
      const told = (await (await fetch(`${base}/api/v1/entries?kind=calendar`)).json())[0];
      if (told?.by !== 'e2e' || told.value.shifts.length === 0) throw new Error(`said: ${JSON.stringify(told)}`);
      await page.getByTestId('undo').click();
      await page.getByText('Taken back.').waitFor({ timeout: 30_000 });
      const versions = (await (await fetch(`${base}/api/v1/calendars`)).json()).find((c) => c.id === told.key).versions;
      if (versions.some((v) => v.entry === told.id)) throw new Error('the version is still there');
    }),
  );
  await check('an order is added, runs, and is taken away', () =>
    on('/orders', async (page) => {
      await page.getByTestId('add-order').click();
      await page.getByLabel('Order number').fill('e2e-1');
      await page.getByTestId('order-form').getByLabel('product').selectOption({ index: 1 });
      await page.getByLabel('Quantity, pieces').fill('500');
      await page.getByTestId('save').click();
      await page.getByTestId('sheet').getByText('Taken.').waitFor({ timeout: 30_000 });
      await page.keyboard.press('Escape');
      const order = page.getByTestId('order-e2e-1');
      await order.and(page.locator('[data-state=running]')).waitFor({ timeout: 30_000 });
      await order.getByRole('button').first().click();
      await page.getByRole('button', { name: 'Remove the order' }).click();
      await order.waitFor({ state: 'detached', timeout: 30_000 });
    }),
  );
  await check('orders come in as a file: a wrong cell is named, then what is new is shown and taken', () =>
    on('/orders', async (page) => {
      await page.getByTestId('csv').click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('csv-download').click()]);
      const text = await readFile(await download.path(), 'utf8');
      const head = text.replace('\uFEFF', '').split('\r\n')[0];
      if (head !== 'id,line,product,quantity,due,from,to') throw new Error(`the file begins with ${head}`);
      const product = (await (await fetch(`${base}/api/v1/products`)).json())[0].id;
      const pick = (lines) => page.getByTestId('csv-file').setInputFiles({ name: 'week.csv', mimeType: 'text/csv', buffer: Buffer.from(text + lines) });
      await pick(`e2e-2,${line.id},${product},many,,,\r\n`);
      await page.getByTestId('csv-wrong').getByText('quantity').waitFor({ timeout: 30_000 });
      await pick(`e2e-2,${line.id},${product},500,,,\r\n`);
      await page.getByTestId('csv-found').getByText('e2e-2').waitFor({ timeout: 30_000 });
      await page.getByTestId('csv-take').click();
      await page.getByTestId('csv-taken').waitFor({ timeout: 30_000 });
      await page.keyboard.press('Escape');
      const order = page.getByTestId('order-e2e-2');
      await order.getByRole('button').first().click();
      await page.getByRole('button', { name: 'Remove the order' }).click();
      await order.waitFor({ state: 'detached', timeout: 30_000 });
    }, /status of 400/),
  );
}

/** Holds the bottleneck of the first line until it is asked again: a stop without a reason. */
export async function hold(hook, lines) {
  const line = lines.find((l) => (l.machines ?? []).length > 0);
  const answer = await fetch(`${hook}${hook.includes('?') ? '&' : '?'}machine=${encodeURIComponent(line.bottleneck)}`);
  if (!answer.ok) throw new Error(`hook answered ${answer.status}: ${await answer.text()}`);
}

/** The first reason of the tree that a stop may have. */
function leaf([first]) {
  return first.children?.length ? leaf(first.children) : first.id;
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
