// Opens every page of a running LineTwin in a real browser and judges it.
//
//   BASE_URL=http://127.0.0.1:8080 node e2e/run.mjs
//
// HOOK_URL, where it is given, is asked with ?machine=ID to change a machine's
// state, and answers {"machine": ID, "class": CLASS}; the time until the page
// shows it is then measured, TRIES (60) times. MATRIX=short looks at each page
// in two sizes only. ACT=1 also acknowledges an open alert. SAY=1 also says
// things as people do, and takes them back; with HOOK_URL the bottleneck of the
// first line is held meanwhile.
// CHROMIUM names the browser's program.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { latency } from './latency.mjs';
import { actions } from './actions.mjs';
import { Look, matrix } from './pages.mjs';
import { hold, says } from './says.mjs';

const base = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
const shots = new URL('../../../test-results/', import.meta.url).pathname;
mkdirSync(shots, { recursive: true });

let passed = 0;
let failed = 0;

/** Runs one check; what it throws is why it failed. False when it did. */
async function check(name, run) {
  try {
    const said = await run();
    passed++;
    console.log(`ok    ${name}${said ? ': ' + said : ''}`);
    return true;
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.message}`);
    return false;
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const lines = await (await fetch(`${base}/api/v1/lines`)).json();
  const hook = process.env.HOOK_URL;
  if (process.env.SAY && hook) await hold(hook, lines);
  const pages = [
    { name: 'overview', path: '/', drawn: 'main svg rect.piece' },
    { name: 'lines', path: '/lines' },
    { name: 'orders', form: true, path: '/orders' },
    { name: 'calendars', form: true, path: '/calendars', drawn: '[data-testid=week]' },
    { name: 'cycles', form: true, path: '/cycles' },
    { name: 'gateways', path: '/gateways' },
    { name: 'scorecard', path: '/scorecard' },
    ...lines.map((l) => ({ name: `line-${l.id}`, path: `/lines/${encodeURIComponent(l.id)}`, fits: true, drawn: '[data-testid=timeline] rect.piece' })),
    ...lines.slice(0, 1).flatMap(({ id }) => [
      { name: 'stops', form: true, path: `/lines/${encodeURIComponent(id)}/stops`, drawn: '[data-testid=stop]' },
      { name: 'shifts', form: true, path: `/lines/${encodeURIComponent(id)}/shifts`, drawn: '[data-testid=report]' },
    ]),
  ];
  const look = new Look(browser, base);
  for (const view of matrix(pages, process.env.MATRIX === 'short')) {
    const name = `${view.page.name}-${view.lang}-${view.size.width}x${view.size.height}-${view.size.theme}`;
    // What is left of a failed look must not fail the next one.
    if (!(await check(name, () => look.at(view, `${shots}${name}.png`)))) await look.close();
  }
  await look.close();
  await actions(browser, base, lines, check);
  if (process.env.SAY) {
    await says(browser, base, { hook, lines, check });
    if (hook) await hold(hook, lines); // and goes on
  }
  if (hook) {
    await check('latency', () => latency(browser, { base, hook, lines, tries: Number(process.env.TRIES ?? 60) }));
  }
} catch (e) {
  failed++;
  console.log(`FAIL  run: ${e.message}`);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
