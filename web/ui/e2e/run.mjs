// Opens every page of a running LineTwin in a real browser and judges it.
//
//   BASE_URL=http://127.0.0.1:8080 node e2e/run.mjs
//
// HOOK_URL, where it is given, is asked with ?machine=ID to change a machine's
// state, and answers {"machine": ID, "class": CLASS}; the time until the page
// shows it is then measured, TRIES times. ACT=1 also acknowledges an open alert.
// CHROMIUM names the browser's program.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { latency } from './latency.mjs';
import { actions } from './actions.mjs';
import { look, sizes } from './pages.mjs';

const base = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
const shots = new URL('../../../test-results/', import.meta.url).pathname;
mkdirSync(shots, { recursive: true });

let passed = 0;
let failed = 0;

/** Runs one check; what it throws is why it failed. */
async function check(name, run) {
  try {
    const said = await run();
    passed++;
    console.log(`ok    ${name}${said ? ': ' + said : ''}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.message}`);
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const lines = await (await fetch(`${base}/api/v1/lines`)).json();
  const pages = [
    { name: 'overview', path: '/' },
    { name: 'lines', path: '/lines' },
    { name: 'gateways', path: '/gateways' },
    { name: 'scorecard', path: '/scorecard' },
    ...lines.map((l) => ({ name: `line-${l.id}`, path: `/lines/${encodeURIComponent(l.id)}`, fits: true })),
  ];
  for (const page of pages) {
    for (const lang of ['en', 'zh']) {
      for (const size of sizes) {
        const name = `${page.name}-${lang}-${size.width}x${size.height}-${size.theme}`;
        await check(name, () => look(browser, { base, page, lang, size, file: `${shots}${name}.png` }));
      }
    }
  }
  await actions(browser, base, lines, check);
  if (process.env.HOOK_URL) {
    await check('latency', () => latency(browser, { base, hook: process.env.HOOK_URL, lines, tries: Number(process.env.TRIES ?? 20) }));
  }
} catch (e) {
  failed++;
  console.log(`FAIL  run: ${e.message}`);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
